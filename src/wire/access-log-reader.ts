// One pass over a StreamAccessLogsMessage: finds its entries and what they say, and checks all of it.

import { AccessLogEntry, type AccessLogIndex } from './access-log-entry.ts'
import { type Field, type Fields, HTTP_ENTRY, Kind, SLOTS, TCP_ENTRY, UNAUTHORIZED } from './access-log-fields.ts'
import { checkMetadata } from './struct-check.ts'
import { BYTES, VARINT, WireReader } from './wire-reader.ts'

/** Of a metadata within its entry within the message, as protobuf counts messages in each other. */
const METADATA_LEVEL = 5
/** Of all entries that say nothing, and what others begin with. */
const NO_SLOTS: number[] = Array.from({ length: SLOTS }, () => 0)

/**
 * The entries of a message. As everywhere in protobuf, the last of several values of a field counts, messages that come
 * several times are one, and fields that the schema does not name are passed over. Stricter than protobuf's decoders,
 * known fields of another wire type than their own, groups, metadata in more than 100 parts, and messages that end within
 * a field although more bytes follow are malformed; no writer makes them.
 * @throws IntermixError INVALID_REQUEST where the bytes are not such a message.
 */
export class AccessLogReader {
  /** Which kind of entries the message has. */
  kind: 'http' | 'tcp' | undefined
  readonly entries: readonly AccessLogEntry[]
  readonly #reader: WireReader
  readonly #lists: number[][] = []
  /** The slots of each entry. */
  readonly #entries: number[][] = []
  #slots: number[] = NO_SLOTS
  #reporter = 0

  /** Takes the bytes of one message; they must not change while entries of it live. */
  constructor(bytes: Uint8Array) {
    const reader = new WireReader(bytes)
    this.#reader = reader
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 === 1) this.#readIdentifier(tag)
      else if (tag >>> 3 === 2) this.#readLogs(tag, 'http', HTTP_ENTRY)
      else if (tag >>> 3 === 3) this.#readLogs(tag, 'tcp', TCP_ENTRY)
      else reader.skip(tag)
    }
    const index: AccessLogIndex = { reader, lists: this.#lists, reporter: this.#reporter }
    this.entries = this.#entries.map((slots) => new AccessLogEntry(index, slots))
  }

  #readIdentifier(identifierTag: number): void {
    const reader = this.#reader
    const outer = reader.openField(identifierTag)
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 === 1) this.#readNode(tag)
      else if (tag >>> 3 === 2) reader.text(tag)
      else reader.skip(tag)
    }
    reader.close(outer)
  }

  #readNode(nodeTag: number): void {
    const reader = this.#reader
    const outer = reader.openField(nodeTag)
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 === 1) this.#reporter = reader.text(tag)
      else reader.skip(tag)
    }
    reader.close(outer)
  }

  /** The two kinds of logs are a oneof: a repeated member is merged, the other one replaces it. */
  #readLogs(logsTag: number, kind: 'http' | 'tcp', fields: Fields): void {
    if (kind !== this.kind) this.#entries.length = 0
    this.kind = kind
    const reader = this.#reader
    const outer = reader.openField(logsTag)
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 !== 1) {
        reader.skip(tag)
        continue
      }
      const logs = reader.openField(tag)
      // Entries of no bytes are many for their size.
      this.#slots = reader.pos === reader.end ? NO_SLOTS : NO_SLOTS.slice()
      this.#entries.push(this.#slots)
      this.#readMessage(fields)
      reader.close(logs)
    }
    reader.close(outer)
  }

  /** Reads up to where the reader has been narrowed to. */
  #readMessage(fields: Fields): void {
    const reader = this.#reader
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      const number = tag >>> 3
      const field = number < fields.length ? fields[number] : undefined
      if (field === undefined) reader.skip(tag)
      else this.#readField(tag, field)
    }
  }

  #readField(tag: number, field: Field): void {
    const reader = this.#reader
    const slots = this.#slots
    const at = field.slot
    switch (field.kind) {
      case Kind.text:
        slots[at] = reader.text(tag)
        break
      case Kind.number:
        reader.expect(tag, VARINT)
        slots[at] = reader.pos
        reader.varint32()
        break
      case Kind.message: {
        for (const replaced of field.replaces) slots[replaced] = 0
        slots[at] = reader.pos
        const outer = reader.openField(tag)
        this.#readMessage(field.fields)
        reader.close(outer)
        break
      }
      case Kind.flags:
        this.#readFlag(tag, field, at)
        break
      case Kind.parts:
        reader.expect(tag, BYTES)
        reader.boundParts(this.#listAt(at).push(reader.pos))
        checkMetadata(reader, METADATA_LEVEL)
        break
      default:
        this.#readPair(tag, this.#listAt(at), field.kind === Kind.choices)
    }
  }

  #readFlag(tag: number, { fields }: Field, at: number): void {
    const reader = this.#reader
    const bit = 1 << (tag >>> 3)
    let isSet = true
    if (tag >>> 3 === UNAUTHORIZED) {
      const outer = reader.openField(tag)
      this.#readMessage(fields)
      reader.close(outer)
    } else {
      reader.expect(tag, VARINT)
      isSet = reader.int64() !== 0n
    }
    const before = this.#slots[at] ?? 0
    this.#slots[at] = isSet ? before | bit : before & ~bit
  }

  #listAt(at: number): number[] {
    const known = this.#lists[(this.#slots[at] ?? 0) - 1]
    if (known !== undefined) return known
    const list: number[] = []
    this.#slots[at] = this.#lists.push(list)
    return list
  }

  #readPair(pairTag: number, into: number[], isChoice: boolean): void {
    const reader = this.#reader
    const outer = reader.openField(pairTag)
    let key = 0
    let value = 0
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 === 1) {
        key = reader.text(tag)
        if (isChoice) value = 0
      } else if (tag >>> 3 === 2) {
        value = reader.text(tag)
        if (isChoice) key = 0
      } else reader.skip(tag)
    }
    reader.close(outer)
    into.push(key, value)
  }
}
