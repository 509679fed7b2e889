// Reads envoy.config.core.v3.Metadata, as far as it is JSON: what each filter has written, by the filter's name.

import { isJsonObject, type JsonObject } from '../kernel/json-object.ts'
import { BYTES, FIXED64, VARINT, WireReader } from './wire-reader.ts'

export interface FilterMetadata {
  /** By namespace, mostly the name of a filter. */
  readonly filterMetadata: Readonly<Record<string, JsonObject>>
}

/** Field numbers of google.protobuf.Value. */
const NULL = 1
const NUMBER = 2
const STRING = 3
const BOOL = 4
const STRUCT = 5
const LIST = 6
/** Objects and lists within each other: a reader of deeper ones would run out of stack. */
const MAX_DEPTH = 100

/**
 * Reads the message that these parts are together: those that come several times are one, which for protobuf is one behind the
 * other. A value of no kind reads as `null`.
 * @throws IntermixError INVALID_REQUEST where the bytes are not such a message
 */
export function readFilterMetadata(parts: readonly Uint8Array[]): FilterMetadata {
  const reader = new WireReader(Buffer.concat(parts))
  return { filterMetadata: readMap(reader, (tag, before) => readStruct(reader, tag, 1, before), {}) }
}

/**
 * The fields 1 of the message up to the reader's end, as entries of a map; the last one of a key counts. The values of one entry that
 * has several are one message.
 * @param absent stands for a value that is left out
 */
function readMap<T>(
  reader: WireReader,
  readValue: (tag: number, before: T) => T,
  absent: T,
): Readonly<Record<string, T>> {
  const entries = new Map<string, T>()
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag >>> 3 !== 1) {
      reader.skip(tag)
      continue
    }
    const outer = reader.openField(tag)
    let key = ''
    let value = absent
    for (let inner = reader.tag(); inner !== 0; inner = reader.tag()) {
      if (inner >>> 3 === 1) key = readText(reader, inner)
      else if (inner >>> 3 === 2) value = readValue(inner, value)
      else reader.skip(inner)
    }
    reader.close(outer)
    entries.set(key, value)
  }
  // Unlike by an assignment, `__proto__` is a field as any other.
  return Object.fromEntries(entries)
}

/** @param before what the message says that this one is a further part of */
function readStruct(reader: WireReader, tag: number, depth: number, before: JsonObject): JsonObject {
  if (depth > MAX_DEPTH) throw reader.malformed(`more than ${MAX_DEPTH} objects and lists within each other`)
  const outer = reader.openField(tag)
  const object = readMap<unknown>(reader, (inner, known) => readValue(reader, inner, depth, known), null)
  reader.close(outer)
  return Object.fromEntries([...Object.entries(before), ...Object.entries(object)])
}

function readList(reader: WireReader, tag: number, depth: number, before: readonly unknown[]): readonly unknown[] {
  if (depth > MAX_DEPTH) throw reader.malformed(`more than ${MAX_DEPTH} objects and lists within each other`)
  const outer = reader.openField(tag)
  const list: unknown[] = [...before]
  for (let inner = reader.tag(); inner !== 0; inner = reader.tag()) {
    if (inner >>> 3 === 1) list.push(readValue(reader, inner, depth, null))
    else reader.skip(inner)
  }
  reader.close(outer)
  return list
}

/** Of several kinds, which is no message that an encoder writes, the last one counts; objects and lists in several parts are one. */
function readValue(reader: WireReader, tag: number, depth: number, before: unknown): unknown {
  const outer = reader.openField(tag)
  let value = before
  for (let inner = reader.tag(); inner !== 0; inner = reader.tag()) {
    switch (inner >>> 3) {
      case NULL:
        reader.expect(inner, VARINT)
        reader.varint32()
        value = null
        break
      case NUMBER:
        reader.expect(inner, FIXED64)
        value = reader.double()
        break
      case STRING:
        value = readText(reader, inner)
        break
      case BOOL:
        reader.expect(inner, VARINT)
        value = reader.int64() !== 0n
        break
      case STRUCT:
        value = readStruct(reader, inner, depth + 1, isJsonObject(value) ? value : {})
        break
      case LIST:
        value = readList(reader, inner, depth + 1, Array.isArray(value) ? value : [])
        break
      default:
        reader.skip(inner)
    }
  }
  reader.close(outer)
  return value
}

function readText(reader: WireReader, tag: number): string {
  reader.expect(tag, BYTES)
  const place = reader.text(tag)
  const after = reader.pos
  const text = reader.textAt(place)
  reader.pos = after
  return text
}
