// One check of the batch stream (docs/batch-stream.md) that stands for those of all keys: only its id, and the numbers of the
// words that follow from the key, differ. Those are written as varints of a fixed length.

import { Duration, Timestamp } from '../../src/kernel/time.ts'
import { ENVOY_CHECK } from '../../src/wire/batch/check-batch.ts'
import { WireWriter } from '../../src/wire/wire-writer.ts'
import type { Attributes } from '../../test/wire/mixer/compress.ts'
import { type RequestTemplate, requestTemplate } from './request-template.ts'

export const ID_BYTES = 5
export const WORD_BYTES = 3

/** Numbers whose varints have the fixed lengths, and that occur nowhere else. */
const ID_MARK = 0xf7f6_f5f4
const PATH_MARK = -10_007
const SERVICE_MARK = 12_345

export interface BatchTemplate {
  /** Fields of a CheckBatch with the words that all checks use. */
  readonly words: Buffer
  /** A check as a field of a CheckBatch. */
  readonly check: Buffer
  /** Where its id and the words of its path and its service are. */
  readonly ids: readonly number[]
  readonly paths: readonly number[]
  readonly services: readonly number[]
  /** The lasting word of the first service; the others follow. */
  readonly firstService: number
  /** Checks in which digits of the key stand themselves, in place of `check` and its words. */
  readonly keyed?: RequestTemplate
}

/** The template of a check with these attributes; what equals `path` or `service` in them follows from the key. */
export function batchTemplate(
  attributes: Attributes,
  {
    path,
    service,
    services,
  }: { readonly path: string; readonly service: string; readonly services: readonly string[] },
): BatchTemplate {
  const words: (string | Uint8Array)[] = []
  const word = (text: string | Uint8Array): number => {
    if (text === path) return PATH_MARK
    return text === service ? SERVICE_MARK : words.push(text) - 1
  }
  const writer = new WireWriter()
  const check = writer.open(4)
  writer.uint(1, ID_MARK)
  const entries = Object.entries(attributes)
  packed(
    writer,
    3,
    entries.flatMap(([name, value]) => (typeof value === 'string' ? [word(name), word(value)] : [])),
  )
  for (const [name, value] of entries) {
    if (!(value instanceof Map)) continue
    const map = writer.open(4)
    writer.sint32(1, word(name))
    packed(
      writer,
      2,
      [...value].flatMap(([key, text]) => [word(key), word(text)]),
    )
    writer.close(map)
  }
  const pairs = (field: number, pairOf: (value: unknown) => readonly (number | bigint)[] | undefined) =>
    packed(
      writer,
      field,
      entries.flatMap(([name, value]) => {
        const pair = pairOf(value)
        return pair === undefined ? [] : [word(name), ...pair]
      }),
    )
  pairs(5, (value) => (value instanceof Uint8Array ? [word(value)] : undefined))
  pairs(6, (value) => (typeof value === 'bigint' ? [value] : undefined))
  pairs(7, (value) => (typeof value === 'boolean' ? [value ? 1 : 0] : undefined))
  pairs(8, (value) => (value instanceof Timestamp ? partsOf(value) : undefined))
  pairs(9, (value) => (value instanceof Duration ? partsOf(value) : undefined))
  writer.close(check)
  const bytes = writer.take()
  const firstService = words.length
  for (const text of [...words, ...services]) writer.bytes(2, Buffer.from(text), true)
  return {
    words: writer.take(),
    check: bytes,
    ids: placesOf(bytes, varint(ID_MARK)),
    paths: placesOf(bytes, varint(zigzag(PATH_MARK))),
    services: placesOf(bytes, varint(zigzag(SERVICE_MARK))),
    firstService,
  }
}

/** The template of a check that has what Envoy would ask ext_authz in place of attributes. */
export function envoyBatchTemplate(request: (digits: string) => Uint8Array): BatchTemplate {
  const writer = new WireWriter()
  const keyed = requestTemplate((digits) => {
    const check = writer.open(4)
    writer.uint(1, ID_MARK)
    writer.bytes(ENVOY_CHECK, request(digits))
    writer.close(check)
    return writer.take()
  })
  const words = Buffer.alloc(0)
  const ids = placesOf(keyed.bytes, varint(ID_MARK))
  return { words, check: keyed.bytes, ids, paths: [], services: [], firstService: 0, keyed }
}

function partsOf(value: Timestamp | Duration): readonly (number | bigint)[] {
  const { seconds, nanos } = value.toParts()
  return [seconds, nanos]
}

function packed(writer: WireWriter, field: number, values: readonly (number | bigint)[]): void {
  if (values.length === 0) return
  const open = writer.open(field)
  for (const value of values) {
    if (typeof value === 'number') writer.packedSint32(value)
    else writer.packedSint64(value)
  }
  writer.close(open)
}

export function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value
}

/** Writes a varint of exactly so many bytes, however small the value. */
export function writeVarint(target: Buffer, at: number, value: number, bytes: number): void {
  let rest = value
  for (let i = 0; i < bytes - 1; i++) {
    target[at + i] = (rest & 0x7f) | 0x80
    rest = Math.floor(rest / 0x80)
  }
  target[at + bytes - 1] = rest
}

function varint(value: number): Buffer {
  const bytes = Buffer.alloc(value < 2 ** 21 ? WORD_BYTES : ID_BYTES)
  writeVarint(bytes, 0, value, bytes.length)
  return bytes
}

function placesOf(bytes: Buffer, mark: Buffer): readonly number[] {
  const places: number[] = []
  for (let at = bytes.indexOf(mark); at >= 0; at = bytes.indexOf(mark, at + 1)) places.push(at)
  if (places.length === 0) throw new Error('a check without its key')
  return places
}
