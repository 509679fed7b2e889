import { fromBinary, toBinary, create } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { DEFAULT_LIMITS } from '../../../src/kernel/request-limits.ts'
import { AnswerBatches } from '../../../src/wire/batch/answer-batch.ts'
import { AnswerBatchWriter } from '../../../src/wire/batch/answer-batch-writer.ts'
import { SAMPLE_MULTIPLES } from '../../../src/wire/batch/cache-sample.ts'
import { CheckBatchWriter } from '../../../src/wire/batch/check-batch-writer.ts'
import { CheckBatches } from '../../../src/wire/batch/check-batch.ts'
import type { Heard, News } from '../../../src/wire/batch/news.ts'
import { AnswerBatchSchema, CheckBatchSchema } from '../../../src/wire/generated/intermix/v1/batch_pb.ts'

const uint32 = fc.nat({ max: 0xffff_ffff })
const BUCKETS = SAMPLE_MULTIPLES.length + 1

function heardOf(message: Uint8Array): Heard | undefined {
  const batches = new CheckBatches(DEFAULT_LIMITS)
  batches.begin(message)
  batches.next(new Map())
  return batches.takeHeard()
}

it('is heard as it was said, and has the twelve numbers of the protocol', () => {
  const lookups = fc.array(uint32, { minLength: BUCKETS, maxLength: BUCKETS })
  fc.assert(
    fc.property(uint32, lookups, (entries, counts) => {
      const writer = new CheckBatchWriter()
      writer.hear({ ask: 7, epoch: undefined, sample: { entries, lookups: counts } })
      const message = writer.take()
      expect(heardOf(message)).toEqual({ ask: 7, epoch: undefined, sample: { entries, lookups: counts } })
      const { heard } = fromBinary(CheckBatchSchema, message)
      expect(heard?.cacheSample).toMatchObject({ entries, lookUps: counts })
    }),
  )
  expect(BUCKETS).toBe(12)
})

it.each([0, 11, 13, 5_000])('of %d numbers is of another version, and passed over', (count) => {
  const heard = { ask: 7, cacheSample: { entries: 5, lookUps: Array.from({ length: count }, () => 300) } }
  const message = toBinary(CheckBatchSchema, create(CheckBatchSchema, { heard }))
  expect(heardOf(message)).toEqual({ ask: 7, epoch: undefined })
})

it('is answered by news with a number of answers', () => {
  const told: News[] = []
  const nothing = () => undefined
  const writer = new AnswerBatchWriter()
  const news = { ask: 1, epoch: undefined, revocations: [], outOfTouchMs: 0, maxAgeMs: 0, load: 0 }
  writer.tell({ ...news, recommendedEntries: 12_345 })
  const message = writer.take()
  new AnswerBatches().read(message, {
    answered: nothing,
    failed: nothing,
    leaving: nothing,
    news: (one) => told.push(one),
  })
  expect(told[0]).toMatchObject({ ask: 1, recommendedEntries: 12_345 })
  expect(fromBinary(AnswerBatchSchema, message).news?.recommendedEntries).toBe(12_345)
})
