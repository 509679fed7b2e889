// One pass over an encoded envoy.service.auth.v3.CheckRequest: what it says and where, as numbers only.

import { IntermixError, messageOf } from '../kernel/errors.ts'
import { RefusedRequest } from '../kernel/refused-request.ts'
import { DEFAULT_LIMITS, type RequestLimits } from '../kernel/request-limits.ts'
import { checkMetadata } from './struct-check.ts'
import { TextMap } from './text-map.ts'
import { BYTES, VARINT, WireReader } from './wire-reader.ts'

/** The place of a text, a number or a message in the bytes; 0 where the request does not say it. */
type Place = number

/** One end of the connection. */
export class EnvoyPeer {
  hasAddress = false
  /** Of its socket's address; without one where the address is of another kind. */
  address: Place = 0
  port = 0
  service: Place = 0
  labels: Place[] | undefined
  principal: Place = 0
  certificate: Place = 0
}

export class EnvoyHttpRequest {
  id: Place = 0
  method: Place = 0
  path: Place = 0
  host: Place = 0
  scheme: Place = 0
  size: Place = 0
  /** Keys and values of the headers that Envoy has joined, in turns. */
  headers: Place[] = []
  /** Name, text and raw bytes of each raw header line, in turns. */
  lines: Place[] = []
}

/**
 * The compact index of one request. The whole message is checked for structure, for text that is no UTF-8 and for size
 * here, so that reading a part later cannot fail. As everywhere in protobuf, the last of several values of a field counts,
 * messages that come several times are one, and fields that the schema does not name are passed over.
 */
export class EnvoyCheck {
  source: EnvoyPeer | undefined
  destination: EnvoyPeer | undefined
  http: EnvoyHttpRequest | undefined
  hasTime = false
  seconds: Place = 0
  nanos: Place = 0
  sni: Place = 0
  /** Keys and values of `context_extensions`, in turns. */
  extensions: Place[] | undefined
  /** Parts of `metadata_context`, which together are one message. */
  metadata: Place[] | undefined
  readonly #reader: WireReader
  readonly #limits: RequestLimits
  #entries = 0
  #bodyBytes = 0

  /**
   * Takes the bytes of one message; they must not change while this lives.
   * @throws IntermixError INVALID_REQUEST where they are malformed; RefusedRequest `too-large`
   */
  constructor(bytes: Uint8Array, limits: RequestLimits = DEFAULT_LIMITS) {
    const reader = new WireReader(bytes)
    this.#reader = reader
    this.#limits = limits
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 === 1) this.#readContext(tag)
      else reader.skip(tag)
    }
    if (bytes.length - this.#bodyBytes > limits.maxAttributeBytes) {
      const text = `the attributes have more than ${limits.maxAttributeBytes} bytes; send fewer`
      throw new RefusedRequest('too-large', text, 'raise --max-attribute-bytes')
    }
  }

  text(place: Place): string {
    return this.#reader.textAt(place)
  }

  /** The first byte of a text; 0 where it is empty. */
  firstByte(place: Place): number {
    if (place === 0) return 0
    const reader = this.#reader
    reader.pos = place
    return reader.enter() === reader.pos ? 0 : (reader.bytes[reader.pos] ?? 0)
  }

  /** The map whose keys and values lie at these places, without the key `hidden`. */
  map(places: readonly Place[], hidden?: string): TextMap {
    return new TextMap(this.#reader, places, hidden)
  }

  int64(place: Place): bigint {
    if (place === 0) return 0n
    this.#reader.pos = place
    return this.#reader.int64()
  }

  int32(place: Place): number {
    if (place === 0) return 0
    this.#reader.pos = place
    return this.#reader.varint32()
  }

  bytes(place: Place): Uint8Array {
    return place === 0 ? NO_BYTES : this.#reader.bytesAt(place)
  }

  #readContext(contextTag: number): void {
    const reader = this.#reader
    const outer = reader.openField(contextTag)
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      switch (tag >>> 3) {
        case 1:
          this.#readPeer(tag, (this.source ??= new EnvoyPeer()))
          break
        case 2:
          this.#readPeer(tag, (this.destination ??= new EnvoyPeer()))
          break
        case 4:
          this.#readRequest(tag)
          break
        case 10:
          this.#readEntry(tag, (this.extensions ??= []))
          break
        case 11:
          reader.expect(tag, BYTES)
          reader.boundParts((this.metadata ??= []).push(reader.pos))
          checkMetadata(reader, METADATA_LEVEL)
          break
        case 12:
          this.#readTlsSession(tag)
          break
        default:
          reader.skip(tag)
      }
    }
    reader.close(outer)
  }

  #readPeer(peerTag: number, peer: EnvoyPeer): void {
    const reader = this.#reader
    const outer = reader.openField(peerTag)
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      switch (tag >>> 3) {
        case 1:
          peer.hasAddress = true
          this.#readAddress(tag, peer)
          break
        case 2:
          peer.service = reader.text(tag)
          break
        case 3:
          this.#readEntry(tag, (peer.labels ??= []))
          break
        case 4:
          peer.principal = reader.text(tag)
          break
        case 5:
          peer.certificate = reader.text(tag)
          break
        default:
          reader.skip(tag)
      }
    }
    reader.close(outer)
  }

  /** A socket and a pipe are a oneof: the later one replaces the other. */
  #readAddress(addressTag: number, peer: EnvoyPeer): void {
    const reader = this.#reader
    const outer = reader.openField(addressTag)
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 === 1) this.#readSocket(tag, peer)
      else if (tag >>> 3 === 2) {
        this.#readPipe(tag)
        peer.address = 0
        peer.port = 0
      } else reader.skip(tag)
    }
    reader.close(outer)
  }

  #readSocket(socketTag: number, peer: EnvoyPeer): void {
    const reader = this.#reader
    const outer = reader.openField(socketTag)
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 === 2) peer.address = reader.text(tag)
      else if (tag >>> 3 === 3) {
        reader.expect(tag, VARINT)
        peer.port = reader.varint32() >>> 0
      } else {
        if (tag >>> 3 === 1) reader.expect(tag, VARINT)
        reader.skip(tag)
      }
    }
    reader.close(outer)
  }

  #readPipe(pipeTag: number): void {
    const reader = this.#reader
    const outer = reader.openField(pipeTag)
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 === 1) reader.text(tag)
      else reader.skip(tag)
    }
    reader.close(outer)
  }

  #readRequest(requestTag: number): void {
    const reader = this.#reader
    const outer = reader.openField(requestTag)
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 === 1) this.#readTime(tag)
      else if (tag >>> 3 === 2) this.#readHttp(tag, (this.http ??= new EnvoyHttpRequest()))
      else reader.skip(tag)
    }
    reader.close(outer)
  }

  #readTime(timeTag: number): void {
    const reader = this.#reader
    const outer = reader.openField(timeTag)
    this.hasTime = true
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 === 1) this.seconds = this.#varint(tag)
      else if (tag >>> 3 === 2) this.nanos = this.#varint(tag)
      else reader.skip(tag)
    }
    reader.close(outer)
  }

  #readHttp(httpTag: number, http: EnvoyHttpRequest): void {
    const reader = this.#reader
    const outer = reader.openField(httpTag)
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      switch (tag >>> 3) {
        case 1:
          http.id = reader.text(tag)
          break
        case 2:
          http.method = reader.text(tag)
          break
        case 3:
          this.#readEntry(tag, http.headers)
          break
        case 4:
          http.path = reader.text(tag)
          break
        case 5:
          http.host = reader.text(tag)
          break
        case 6:
          http.scheme = reader.text(tag)
          break
        case 7:
        case 8:
        case 10:
          reader.text(tag)
          break
        case 9:
          http.size = this.#varint(tag)
          break
        case 13:
          this.#readLines(tag, http.lines)
          break
        default:
          this.#passOver(tag)
      }
    }
    reader.close(outer)
  }

  /** What else there is of a request, its body among it, which is no attribute. */
  #passOver(tag: number): void {
    const before = this.#reader.pos
    this.#reader.skip(tag)
    if (tag === BODY || tag === RAW_BODY) this.#bodyBytes += this.#reader.pos - before
  }

  #readLines(mapTag: number, lines: Place[]): void {
    const reader = this.#reader
    const outer = reader.openField(mapTag)
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 === 1) this.#readLine(tag, lines)
      else reader.skip(tag)
    }
    reader.close(outer)
  }

  #readLine(lineTag: number, lines: Place[]): void {
    const reader = this.#reader
    const outer = reader.openField(lineTag)
    this.#countEntry()
    let key = 0
    let value = 0
    let raw = 0
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 === 1) key = reader.text(tag)
      else if (tag >>> 3 === 2) value = reader.text(tag)
      else {
        if (tag >>> 3 === 3) {
          reader.expect(tag, BYTES)
          raw = reader.pos
        }
        reader.skip(tag)
      }
    }
    reader.close(outer)
    lines.push(key, value, raw)
  }

  #readEntry(entryTag: number, into: Place[]): void {
    const reader = this.#reader
    const outer = reader.openField(entryTag)
    this.#countEntry()
    let key = 0
    let value = 0
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 === 1) key = reader.text(tag)
      else if (tag >>> 3 === 2) value = reader.text(tag)
      else reader.skip(tag)
    }
    reader.close(outer)
    into.push(key, value)
  }

  #countEntry(): void {
    const { maxMapEntries } = this.#limits
    if (++this.#entries <= maxMapEntries) return
    const text = `more than ${maxMapEntries} map entries, headers among them; send fewer`
    throw new RefusedRequest('too-large', text, 'raise --max-map-entries')
  }

  #readTlsSession(sessionTag: number): void {
    const reader = this.#reader
    const outer = reader.openField(sessionTag)
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 === 1) this.sni = reader.text(tag)
      else reader.skip(tag)
    }
    reader.close(outer)
  }

  #varint(tag: number): Place {
    const reader = this.#reader
    reader.expect(tag, VARINT)
    const at = reader.pos
    reader.varint32()
    return at
  }
}

/** Of a metadata within a context within a check, as protobuf counts messages in each other. */
const METADATA_LEVEL = 3
const NO_BYTES = new Uint8Array(0)
/** Tags of the body, as text and as bytes. */
const BODY = 11 * 8 + BYTES
const RAW_BODY = 12 * 8 + BYTES

/** Bytes that are no message of this kind: whoever sent them is no proxy of ours. */
export class UnreadableCheck extends IntermixError {}

/** @throws UnreadableCheck; RefusedRequest `too-large` */
export function readEnvoyCheck(bytes: Uint8Array, limits: RequestLimits): EnvoyCheck {
  try {
    return new EnvoyCheck(bytes, limits)
  } catch (caught) {
    if (caught instanceof RefusedRequest) throw caught
    const reason = messageOf(caught)
    throw new UnreadableCheck('INVALID_REQUEST', `not a CheckRequest: ${reason}`)
  }
}
