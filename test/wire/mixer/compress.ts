// What a Mixer client does before it sends: attributes into CompressedAttributes, by the generated codec.

import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { Duration, Timestamp } from '../../../src/kernel/time.ts'
import { type AttributeValue, isStringMap } from '../../../src/kernel/value.ts'
import { CompressedAttributesSchema } from '../../../src/wire/generated/istio/mixer/v1/attributes_pb.ts'
import { GLOBAL_INDEX } from '../../../src/wire/mixer/dictionary.ts'

export type Attributes = Readonly<Record<string, AttributeValue>>
type Init = MessageInitShape<typeof CompressedAttributesSchema>

/** A message dictionary that grows as words are needed. */
export class Words {
  readonly list: string[] = []
  readonly #globalWordCount: number
  readonly #indexes = new Map<string, number>()

  constructor(globalWordCount = 222) {
    this.#globalWordCount = globalWordCount
  }

  index(word: string): number {
    const global = GLOBAL_INDEX.get(word)
    if (global !== undefined && global < this.#globalWordCount) return global
    const known = this.#indexes.get(word)
    if (known !== undefined) return known
    this.list.push(word)
    this.#indexes.set(word, -this.list.length)
    return -this.list.length
  }
}

/** The message without its words, which may belong to a whole batch. */
export function compressInto(words: Words, attributes: Attributes) {
  const message = {
    strings: {} as Record<number, number>,
    int64s: {} as Record<number, bigint>,
    doubles: {} as Record<number, number>,
    bools: {} as Record<number, boolean>,
    timestamps: {} as Record<number, { seconds: bigint; nanos: number }>,
    durations: {} as Record<number, { seconds: bigint; nanos: number }>,
    bytes: {} as Record<number, Uint8Array>,
    stringMaps: {} as Record<number, { entries: Record<number, number> }>,
  }
  for (const [name, value] of Object.entries(attributes)) {
    const index = words.index(name)
    if (typeof value === 'string') message.strings[index] = words.index(value)
    else if (typeof value === 'bigint') message.int64s[index] = value
    else if (typeof value === 'number') message.doubles[index] = value
    else if (typeof value === 'boolean') message.bools[index] = value
    else if (value instanceof Timestamp) message.timestamps[index] = value.toParts()
    else if (value instanceof Duration) message.durations[index] = value.toParts()
    else if (value instanceof Uint8Array) message.bytes[index] = value
    else if (isStringMap(value)) {
      const entries: Record<number, number> = {}
      for (const [key, text] of value.entries()) entries[words.index(key)] = words.index(text)
      message.stringMaps[index] = { entries }
    }
  }
  return message
}

export function compress(attributes: Attributes, globalWordCount = 222): Init {
  const words = new Words(globalWordCount)
  return { ...compressInto(words, attributes), words: words.list }
}

export function encodeAttributes(init: Init): Uint8Array {
  return toBinary(CompressedAttributesSchema, create(CompressedAttributesSchema, init))
}

/** Values as plain data, so that bags of different make can be compared. */
export function plain(value: AttributeValue | undefined): unknown {
  if (value instanceof Timestamp) return { timestamp: value.epochNanos }
  if (value instanceof Duration) return { duration: value.nanos }
  if (value instanceof Uint8Array) return { bytes: [...value] }
  if (typeof value === 'object' && isStringMap(value))
    return { map: [...value.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)) }
  return value
}
