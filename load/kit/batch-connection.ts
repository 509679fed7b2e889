// The batch stream of our own sidecars: what is sent between two flushes is one message.

import { Code, codeName } from '../../src/kernel/status.ts'
import { BYTES, VARINT, WireReader } from '../../src/wire/wire-reader.ts'
import { FrameType } from '../../test/helpers/http2/frames.ts'
import { type BatchTemplate, ID_BYTES, WORD_BYTES, writeVarint, zigzag } from './batch-template.ts'
import type { Address, Connection, ConnectionEvents, Ended } from './connection.ts'
import { decisionOfCode } from './doors.ts'
import { FRAME_HEAD_BYTES, Http2Client, writeFrameHead } from './http2-client.ts'
import { endOf, type ReplyHeaders } from './reply-headers.ts'
import { keyDigits, writeRequest } from './request-template.ts'
import { pathWith, SERVICES } from './requests.ts'

const MESSAGE_HEAD_BYTES = 5
/** What servers take unless they say more. */
const MAX_FRAME_BYTES = 16_384
const PASSING_WORD = 0x1a
const ANSWER = 4

export interface BatchConnectionOptions {
  readonly address: Address
  readonly path: string
  readonly template: BatchTemplate
  readonly events: ConnectionEvents
}

/** Opens a connection with one stream. */
export function connectBatches(options: BatchConnectionOptions): Connection {
  return new BatchConnection(options)
}

class BatchConnection implements Connection {
  readonly #options: BatchConnectionOptions
  readonly #client: Http2Client
  readonly #waiting = new Set<number>()
  /** Call and key of each check that goes into the next message. */
  readonly #next: (readonly [call: number, key: number])[] = []
  readonly #checkBytes: number
  #stream: number | undefined
  #incoming: Buffer = Buffer.alloc(0)

  constructor(options: BatchConnectionOptions) {
    this.#options = options
    const { address, path, template } = options
    const passing = template.keyed === undefined ? 2 + pathWith(keyDigits(0)).length : 0
    this.#checkBytes = passing + template.check.length
    this.#client = new Http2Client({ address, path, events: this })
  }

  free(): boolean {
    const client = this.#client
    if (client.isClosed || client.maxStreams === 0) return false
    const bytes = this.#messageBytes(this.#next.length + 1)
    return bytes <= client.window && bytes <= client.windowOf(this.#stream ?? 1)
  }

  #messageBytes(checks: number): number {
    const words = this.#stream === undefined ? this.#options.template.words.length : 0
    return MESSAGE_HEAD_BYTES + words + checks * this.#checkBytes
  }

  closed(): boolean {
    return this.#client.isClosed
  }

  send(call: number, key: number): void {
    this.#waiting.add(call)
    this.#next.push([call, key])
  }

  cancel(call: number): void {
    this.#waiting.delete(call)
  }

  flush(): void {
    if (this.#next.length > 0) this.#sendMessage(this.#message())
    this.#client.flush()
  }

  close(): void {
    this.#client.close()
  }

  /** All words come before all checks. */
  #message(): Buffer {
    const { template } = this.#options
    const bytes = Buffer.allocUnsafe(this.#messageBytes(this.#next.length))
    bytes[0] = 0
    bytes.writeUInt32BE(bytes.length - MESSAGE_HEAD_BYTES, 1)
    let at = MESSAGE_HEAD_BYTES
    if (this.#stream === undefined) at += template.words.copy(bytes, at)
    for (const [, key] of template.keyed === undefined ? this.#next : []) {
      const path = pathWith(keyDigits(key))
      bytes[at] = PASSING_WORD
      bytes[at + 1] = path.length
      at += 2 + bytes.write(path, at + 2, 'latin1')
    }
    for (const [index, [call, key]] of this.#next.entries()) {
      if (template.keyed === undefined) template.check.copy(bytes, at)
      else writeRequest(template.keyed, bytes, at, key)
      for (const place of template.ids) writeVarint(bytes, at + place, call, ID_BYTES)
      for (const place of template.paths) writeVarint(bytes, at + place, zigzag(-1 - index), WORD_BYTES)
      const service = zigzag(template.firstService + (key % SERVICES))
      for (const place of template.services) writeVarint(bytes, at + place, service, WORD_BYTES)
      at += template.check.length
    }
    this.#next.length = 0
    return bytes
  }

  #sendMessage(message: Buffer): void {
    const client = this.#client
    this.#stream ??= client.open(0).stream
    for (let start = 0; start < message.length; start += MAX_FRAME_BYTES) {
      const part = message.subarray(start, start + MAX_FRAME_BYTES)
      const target = client.out.room(FRAME_HEAD_BYTES + part.length)
      const head = { length: part.length, type: FrameType.DATA, flags: 0, stream: this.#stream }
      const at = writeFrameHead(target, client.out.position, head)
      target.set(part, at)
      client.out.used(at + part.length)
    }
    client.sent(message.length)
    client.sentOn(this.#stream, message.length)
  }

  headers(_stream: number, said: ReplyHeaders, isLast: boolean): void {
    if (said.end === undefined && !isLast) return
    this.#end(said.end ?? 'failed', said.end === undefined ? 'the stream was ended' : said.why)
  }

  data(_stream: number, bytes: Buffer, start: number, end: number): void {
    const part = bytes.subarray(start, end)
    let rest = this.#incoming.length === 0 ? part : Buffer.concat([this.#incoming, part])
    while (rest.length >= MESSAGE_HEAD_BYTES) {
      const messageEnd = MESSAGE_HEAD_BYTES + rest.readUInt32BE(1)
      if (rest.length < messageEnd) break
      this.#answers(new WireReader(rest, MESSAGE_HEAD_BYTES, messageEnd))
      rest = rest.subarray(messageEnd)
    }
    this.#incoming = rest
  }

  #answers(reader: WireReader): void {
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag === ANSWER * 8 + BYTES) this.#answer(reader, tag)
      else reader.skip(tag)
    }
  }

  #answer(reader: WireReader, answerTag: number): void {
    const outer = reader.openField(answerTag)
    let [id, code, failed] = [0, 0, 0]
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag === 8 + VARINT) id = reader.varint32() >>> 0
      else if (tag === 2 * 8 + VARINT) code = reader.varint32()
      else if (tag === 4 * 8 + VARINT) failed = reader.varint32()
      else reader.skip(tag)
    }
    reader.close(outer)
    const how = failed !== 0 ? endOf(code) : decisionOfCode(code)
    if (this.#waiting.delete(id)) this.#options.events.ended(id, how, code === Code.OK ? undefined : codeName(code))
  }

  reset(_stream: number, code: number): void {
    this.#end('failed', `reset with ${code}`)
  }

  goAway(): void {
    // The stream that there is goes on.
  }

  gone(why: string): void {
    this.#options.events.lost(why)
    this.#end('failed', why)
    this.#options.events.read(this)
  }

  read(): void {
    this.#options.events.read(this)
    if (this.#client.isClosed && this.#waiting.size === 0) this.#client.end()
  }

  #end(how: Ended, why: string): void {
    this.#client.close()
    this.#next.length = 0
    for (const call of this.#waiting) {
      this.#waiting.delete(call)
      this.#options.events.ended(call, how, why)
    }
  }
}
