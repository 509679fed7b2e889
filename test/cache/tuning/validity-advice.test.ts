import { expect, it } from 'vitest'
import { seededRandom } from '../../../load/random.ts'
import { ValidityAdvice } from '../../../src/cache/tuning/validity-advice.ts'
import { OK_STATUS } from '../../../src/kernel/status.ts'
import type { Verdict } from '../../../src/kernel/verdict.ts'

const MINUTE_MS = 60_000
const allow: Verdict = { kind: 'allow', status: OK_STATUS, validForMs: MINUTE_MS, validUses: 10 }
const deny: Verdict = { ...allow, kind: 'deny', status: { code: 7, message: 'no' } }

it('finds the rate of changes, although it sees one of several between two fetches', () => {
  const advice = new ValidityAdvice()
  const random = seededRandom(1)
  // Two changes an hour, fetched every half hour: in 63 of 100 intervals there is at least one.
  for (let i = 0; i < 5_000; i++) {
    const hasChanged = random() < 1 - Math.exp(-1)
    advice.refreshed('h', allow, hasChanged ? deny : { ...allow }, 30 * MINUTE_MS)
  }
  const [view] = advice.view()
  expect(view?.changesPerHour).toBeGreaterThan(1.9)
  expect(view?.changesPerHour).toBeLessThan(2.1)
  expect(view?.mostChangesPerHour).toBeGreaterThan(view?.changesPerHour ?? 0)
  // A thousandth of answers is outdated where 0.002 changes are expected.
  expect(view?.suggestedMs).toBe(SHORTEST)
  // In a minute 1/30 change, so half as much of it is outdated.
  expect(view?.outdatedShare).toBeCloseTo(1 / 60, 2)
})

const SHORTEST = 5_000

it('suggests the longer, the more it has seen that does not change', () => {
  const suggested = (count: number) => {
    const advice = new ValidityAdvice()
    for (let i = 0; i < count; i++) advice.refreshed('h', allow, { ...allow }, MINUTE_MS)
    return advice.view()[0]?.suggestedMs
  }
  expect(suggested(29)).toBeUndefined()
  const [few = 0, many = 0] = [suggested(100), suggested(10_000)]
  expect(few).toBe(SHORTEST)
  expect(many).toBeGreaterThan(4 * MINUTE_MS)
  expect(suggested(50_000)).toBeGreaterThanOrEqual(many)
})

it('takes what differs in life only for the same, and what a handler found for a change', () => {
  const advice = new ValidityAdvice()
  advice.refreshed('h', allow, { ...allow, validForMs: 5, validUses: 1 }, MINUTE_MS)
  advice.refreshed('h', { ...allow, output: { owner: 'x' } }, { ...allow, output: { owner: 'x' } }, MINUTE_MS)
  expect(advice.view()[0]).toMatchObject({ refreshed: 2, changed: 0 })
  advice.refreshed('h', { ...allow, output: { owner: 'x' } }, { ...allow, output: { owner: 'y' } }, MINUTE_MS)
  // The same one, out of another tier.
  advice.refreshed('h', allow, deny, 0)
  expect(advice.view()[0]).toMatchObject({ refreshed: 3, changed: 1 })
})

it('knows the thousand handlers of which it heard last, whatever configs were before', () => {
  const advice = new ValidityAdvice()
  for (let i = 0; i < 1_500; i++) advice.refreshed(`h${i}`, allow, deny, MINUTE_MS)
  const names = advice.view().map(({ name }) => name)
  expect([names.length, names.includes('h1499'), names.includes('h499')]).toEqual([1_000, true, false])
})

it('suggests no longer validity to what changes each time and is valid for a second', () => {
  const advice = new ValidityAdvice()
  const short = { ...deny, validForMs: 1_000 }
  for (let i = 0; i < 100; i++) advice.refreshed('h', allow, short, 1_000)
  expect(advice.view()[0]).toMatchObject({ changed: 100, validForMs: 1_000, suggestedMs: 1_000 })
})
