// One call of reports on its way to a node (intermix.v1.ReportCall): the same one, until a node has taken it or refused it for good.
// Its answer may be lost, so that nothing of it can be given up before that.

import { Bytes, bytesOf } from '../bytes/bytes'
import { grpcCall, Status } from '../host/abi'
import { Writer } from '../wire/writer'
import { Part } from './part'

const SERVICE = bytesOf('intermix.v1.Reports')
const METHOD = bytesOf('Report')
const FORMAT = bytesOf('mixer-report')
/** A node says after ten seconds that it does not know; another one is asked then. */
const TIMEOUT_MS = 15_000
const PAYLOADS = 5
const DROPPED = 6
const cell = memory.data(4, 4)

const enum DropReason {
  FULL = 1,
  REFUSED = 2,
}

export class ReportCall {
  readonly count: i32
  readonly bytes: i32
  /** Of a call that is under way; 0 of one that waits for its next try. */
  token: u32 = 0

  /**
   * @param full records that gave way to newer ones, told by this call
   * @param refused records that a node refused for good, told by this call
   */
  constructor(
    readonly id: Bytes,
    private readonly parts: Array<Part>,
    readonly full: i64,
    readonly refused: i64,
  ) {
    let count = 0
    let bytes = 0
    for (let i = 0; i < parts.length; i++) {
      count += parts[i].count
      bytes += parts[i].weight
    }
    this.count = count
    this.bytes = bytes
  }

  /** @returns whether it is under way */
  send(cluster: Bytes, sender: Bytes, writer: Writer): bool {
    writer.reset()
    this.write(sender, writer)
    const status = grpcCall(
      cluster.dataStart,
      cluster.length,
      SERVICE.dataStart,
      SERVICE.length,
      METHOD.dataStart,
      METHOD.length,
      0,
      0,
      writer.from,
      writer.size,
      TIMEOUT_MS,
      cell,
    )
    this.token = status === Status.OK ? load<u32>(cell) : 0
    return this.token !== 0
  }

  free(): void {
    for (let i = 0; i < this.parts.length; i++) this.parts[i].free()
  }

  private write(sender: Bytes, writer: Writer): void {
    const parts = this.parts
    writer.bytesField(1, this.id.dataStart, this.id.length)
    writer.bytesField(2, sender.dataStart, sender.length)
    let size = 0
    for (let i = 0; i < parts.length; i++) {
      const part = writer.open(3)
      writer.bytesAlways(1, FORMAT.dataStart, FORMAT.length)
      writer.uintAlways(2, parts[i].count)
      writer.uintAlways(3, parts[i].size)
      writer.uintAlways(4, parts[i].acceptedAt)
      writer.close(part)
      size += parts[i].size
    }
    // All payloads are one field: its size comes first.
    writer.varint((PAYLOADS << 3) | 2)
    writer.varint(size)
    for (let i = 0; i < parts.length; i++) writer.raw(parts[i].at, parts[i].size)
    writeDropped(writer, DropReason.FULL, this.full)
    writeDropped(writer, DropReason.REFUSED, this.refused)
  }
}

function writeDropped(writer: Writer, reason: i32, count: i64): void {
  if (count === 0) return
  const dropped = writer.open(DROPPED)
  writer.uintAlways(1, reason)
  writer.uintAlways(2, count)
  writer.close(dropped)
}
