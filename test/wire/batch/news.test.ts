// What is said of news on one side is what the other one reads.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DEFAULT_LIMITS } from '../../../src/kernel/request-limits.ts'
import type { Revocation, RevocationTarget } from '../../../src/kernel/revocation.ts'
import { VALUE_TYPES } from '../../../src/kernel/value.ts'
import { PATH_AMBIGUITY_NAMES } from '../../../src/wire/ambiguity.ts'
import { AnswerBatches } from '../../../src/wire/batch/answer-batch.ts'
import { AnswerBatchWriter } from '../../../src/wire/batch/answer-batch-writer.ts'
import { CheckBatchWriter } from '../../../src/wire/batch/check-batch-writer.ts'
import { CheckBatches } from '../../../src/wire/batch/check-batch.ts'
import type { News } from '../../../src/wire/batch/news.ts'

const text = fc.string({ unit: 'binary', maxLength: 20 }).map((value) => value.toWellFormed())
const count = fc.nat({ max: Number.MAX_SAFE_INTEGER })
const uint32 = fc.nat({ max: 0xffff_ffff })
const epoch = fc.option(fc.record({ generation: text, sequence: count }), { nil: undefined })
const target: fc.Arbitrary<RevocationTarget> = fc.oneof(
  fc.constant({ kind: 'all' as const }),
  fc.record({ kind: fc.constant('handler' as const), handler: text }),
  fc.record({
    kind: fc.constant('attribute' as const),
    name: text,
    key: fc.option(text, { nil: undefined }),
    value: text,
  }),
)
const revocations: fc.Arbitrary<Revocation[]> = fc.array(fc.record({ sequence: count, target }), { maxLength: 5 })
const config = fc.record(
  {
    id: text,
    vocabulary: fc
      .array(fc.tuple(text, fc.constantFrom(...VALUE_TYPES)), { maxLength: 12 })
      .map((entries) => new Map(entries)),
    normalizes: fc.boolean(),
    allowedAmbiguities: fc.subarray([...PATH_AMBIGUITY_NAMES]).map((names) => new Set(names)),
    isUnknown: fc.constant(true as const),
  },
  { requiredKeys: ['id', 'vocabulary', 'normalizes', 'allowedAmbiguities'] },
)
const members = fc.record({ nodes: fc.array(text), leaving: fc.array(text) })
const news: fc.Arbitrary<News> = fc.record(
  {
    ask: uint32,
    epoch,
    revocations,
    outOfTouchMs: count,
    maxAgeMs: count,
    load: uint32,
    config: fc.option(config, { nil: undefined }),
    members: fc.option(members, { nil: undefined }),
    isRelayed: fc.constant(true as const),
  },
  {
    requiredKeys: ['ask', 'epoch', 'revocations', 'outOfTouchMs', 'maxAgeMs', 'load', 'config', 'members'],
  },
)

function readAll(messages: readonly Uint8Array[]): News[] {
  const batches = new AnswerBatches()
  const read: News[] = []
  const nothing = () => undefined
  for (const message of messages)
    batches.read(message, { answered: nothing, failed: nothing, leaving: nothing, news: (one) => read.push(one) })
  return read
}

describe('news over a batch stream', () => {
  it('come as they were told, with so few words that the stream begins anew now and then', () => {
    fc.assert(
      fc.property(fc.array(news, { maxLength: 8 }), (told) => {
        const writer = new AnswerBatchWriter({ maxWords: 10, maxBytes: 200 })
        const messages = told.map((one) => {
          writer.tell(one)
          return writer.take()
        })
        expect(readAll(messages)).toEqual(told)
      }),
    )
  })

  it('say no less than it is of how long all was not known, also where it never was', () => {
    const writer = new AnswerBatchWriter()
    const base = { ask: 1, epoch: undefined, revocations: [], maxAgeMs: 30_000, load: 0 }
    for (const outOfTouchMs of [0.2, Number.POSITIVE_INFINITY]) writer.tell({ ...base, outOfTouchMs })
    expect(readAll([writer.take()]).map(({ outOfTouchMs }) => outOfTouchMs)).toEqual([1, Number.MAX_SAFE_INTEGER])
  })

  it('are asked for by a caller with a name, which says what it has heard, and who of its own has not', () => {
    const behind = fc.record({
      count: fc.integer({ min: 1, max: 0xffff_ffff }),
      names: fc.array(text, { maxLength: 5 }),
    })
    const heard = fc.record({ ask: uint32, epoch, behind }, { requiredKeys: ['ask', 'epoch'] })
    fc.assert(
      fc.property(text, fc.array(heard, { minLength: 1, maxLength: 8 }), (name, all) => {
        const writer = new CheckBatchWriter({ maxWords: 10, maxBytes: 200 })
        const batches = new CheckBatches(DEFAULT_LIMITS)
        writer.nameCaller(name)
        for (const each of all) {
          writer.hear(each)
          batches.begin(writer.take())
          expect(batches.next(new Map())).toBeUndefined()
          expect(batches.caller).toBe(name)
          expect(batches.takeHeard()).toEqual(each)
          expect(batches.takeHeard()).toBeUndefined()
        }
      }),
    )
  })

  it('are refused where the words are not there', () => {
    // News whose generation is word 5; a caller called word 5; one that has heard of generation 5.
    expect(() => readAll([Buffer.of(9 * 8 + 2, 2, 2 * 8, 10)])).toThrow(/word 5/)
    for (const bytes of [
      [6 * 8, 10],
      [7 * 8 + 2, 2, 2 * 8, 10],
    ]) {
      const batches = new CheckBatches(DEFAULT_LIMITS)
      batches.begin(Buffer.from(bytes))
      expect(() => batches.next(new Map())).toThrow(/word 5 is no name/)
    }
  })
})
