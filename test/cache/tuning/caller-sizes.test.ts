import { expect, it } from 'vitest'
import { FakeClock } from '../../helpers/clock.ts'
import { CallerSizes, recommendedSize } from '../../../src/cache/tuning/caller-sizes.ts'

const NONE = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]

it('recommends the smallest size that finds nearly all that the largest finds', () => {
  // All that is found ever is found with half of the answers.
  expect(
    recommendedSize({ entries: 1_000, lookups: [10_000, 10_000, 10_000, 10_000, 0, 0, 0, 0, 0, 0, 0, 10_000] }),
  ).toEqual({
    entries: 1_000,
    recommendedEntries: 500,
    hitRatio: 0.8,
    recommendedHitRatio: 0.8,
  })
  // More is found up to four times as many.
  expect(
    recommendedSize({ entries: 1_000, lookups: [10_000, 0, 0, 0, 0, 0, 5_000, 5_000, 5_000, 5_000, 5_000, 0] }),
  ).toMatchObject({
    recommendedEntries: 4_000,
    recommendedHitRatio: 1,
  })
  // Half a point of hit ratio is spared.
  expect(recommendedSize({ entries: 1_000, lookups: [99_900, 0, 0, 0, 0, 0, 0, 0, 0, 0, 400, 0] })).toMatchObject({
    recommendedEntries: 125,
  })
})

it('says nothing where too little was asked, and where nothing is found at any size it needs next to none', () => {
  expect(recommendedSize({ entries: 1_000, lookups: [...NONE, 9_999] })).toBeUndefined()
  expect(recommendedSize({ entries: 1_000, lookups: [...NONE, 10_000] })).toMatchObject({ recommendedEntries: 125 })
})

it('remembers the thousand callers that it heard of last, while they say so', async () => {
  const clock = new FakeClock()
  let heard = 0
  const sizes = new CallerSizes(clock, { add: () => heard++ })
  for (let i = 0; i < 1_100; i++) expect(sizes.sampled(`s${i}`, { entries: 8, lookups: [30_000, ...NONE] })).toBe(1)
  expect([heard, sizes.view().length, sizes.view()[0]?.name]).toEqual([1_100, 1_000, 's1099'])
  expect(sizes.total).toEqual({ present: 8_000, recommended: 1_000 })
  await clock.advance(179_000)
  sizes.sampled('here', { entries: 8, lookups: [30_000, ...NONE] })
  sizes.sampled('x'.repeat(1_000_000), { entries: 8, lookups: [30_000, ...NONE] })
  await clock.advance(2_000)
  expect(sizes.view().map(({ name }) => name.slice(0, 200))).toEqual([`${'x'.repeat(150)}…`, 'here'])
  expect(sizes.total.present).toBe(16)
})
