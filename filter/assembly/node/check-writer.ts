// Writes what goes to a node: intermix.v1.CheckBatch, with requests as Envoy tells them to authorization services
// (envoy.service.auth.v3.CheckRequest, its headers as raw lines).

import { Bytes, decimalOf } from '../bytes/bytes'
import { wallNanoseconds } from '../host/clock'
import { Attribute, readAttribute, readHeader, readIdentity, textAt, textSize } from '../request/attributes'
import { Property } from '../request/properties'
import { Request } from '../request/request'
import { Writer } from '../wire/writer'
import { REQUEST_ID, SCHEME } from '../request/header-names'

const CHECKS = 4
const ENVOY_CHECK = 17
const NONE: u64 = 0xffff_ffff_ffff_ffff

/** The first message of a stream: who asks, and that it keeps answers. */
export function writeBegin(writer: Writer, caller: Bytes): void {
  writer.bytesAlways(2, caller.dataStart, caller.length)
  writer.uintField(5, 1)
  writer.sintField(6, 0)
}

/** What was heard of revocations: up to which number of a generation; without one, nothing. */
export function writeHeard(writer: Writer, ask: u32, generation: Bytes | null, sequence: f64): void {
  if (generation !== null) writer.bytesAlways(3, generation.dataStart, generation.length)
  const heard = writer.open(7)
  writer.uintField(1, ask)
  if (generation !== null) writer.sintField(2, -1)
  writer.uintField(3, <u64>sequence)
  writer.close(heard)
}

/**
 * A check, with names and values that the operator has set, in turns.
 * @param paidUnder the config by which uses were paid that are given back
 */
export function writeCheck(
  writer: Writer,
  id: u32,
  timeoutMs: u32,
  uses: i32,
  request: Request,
  set: Array<Bytes>,
  paidUnder: Bytes | null,
): void {
  if (paidUnder !== null) writer.bytesAlways(3, paidUnder.dataStart, paidUnder.length)
  const check = writer.open(CHECKS)
  writer.uintField(1, id)
  writer.uintField(2, timeoutMs)
  if (uses !== 1) writer.sintField(14, uses)
  // The word of this message.
  if (paidUnder !== null) writer.sintField(16, -1)
  const envoy = writer.open(ENVOY_CHECK)
  const context = writer.open(1)
  writePeer(writer, 1, request, Property.URI_SAN_PEER)
  writePeer(writer, 2, request, Property.URI_SAN_LOCAL)
  const about = writer.open(4)
  const now = wallNanoseconds()
  const time = writer.open(1)
  writer.uintField(1, now / 1_000_000_000)
  writer.uintField(2, now % 1_000_000_000)
  writer.close(time)
  writeHttp(writer, request)
  writer.close(about)
  for (let i = 0; i < set.length; i += 2) {
    const entry = writer.open(10)
    writer.bytesField(1, set[i].dataStart, set[i].length)
    writer.bytesField(2, set[i + 1].dataStart, set[i + 1].length)
    writer.close(entry)
  }
  if (readAttribute(Attribute.SERVER_NAME, request)) {
    const session = writer.open(12)
    writer.bytesField(1, textAt, textSize)
    writer.close(session)
  }
  writer.close(context)
  writer.close(envoy)
  writer.close(check)
}

function writePeer(writer: Writer, field: u32, request: Request, uri: i32): void {
  const peer = writer.open(field)
  const isSource = field === 1
  if (readAttribute(isSource ? Attribute.SOURCE_IP : Attribute.DESTINATION_IP, request)) {
    const outer = writer.open(1)
    const socket = writer.open(1)
    writer.bytesField(2, textAt, textSize)
    if (readAttribute(isSource ? Attribute.SOURCE_PORT : Attribute.DESTINATION_PORT, request))
      writer.uintField(3, <u64>decimalOf(textAt, textSize))
    writer.close(socket)
    writer.close(outer)
  }
  if (readIdentity(request, uri)) writer.bytesField(4, textAt, textSize)
  writer.close(peer)
}

function writeHttp(writer: Writer, request: Request): void {
  const headers = request.headers
  const http = writer.open(2)
  if (readHeader(request, REQUEST_ID)) writer.bytesField(1, textAt, textSize)
  writer.bytesField(2, request.method, request.methodSize)
  writer.bytesField(4, request.path, request.pathSize)
  writer.bytesField(5, request.host, request.hostSize)
  if (readHeader(request, SCHEME)) writer.bytesField(6, textAt, textSize)
  writer.uintAlways(9, readAttribute(Attribute.SIZE, request) ? <u64>decimalOf(textAt, textSize) : NONE)
  const map = writer.open(13)
  for (let i = 0; i < headers.count; i++) {
    const line = writer.open(1)
    writer.bytesField(1, headers.nameAt(i), headers.nameSize(i))
    writer.bytesField(3, headers.valueAt(i), headers.valueSize(i))
    writer.close(line)
  }
  writer.close(map)
  writer.close(http)
}
