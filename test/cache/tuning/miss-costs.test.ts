import { expect, it } from 'vitest'
import { MissCosts } from '../../../src/cache/tuning/miss-costs.ts'

it('lets what is long ago count for less', () => {
  const costs = new MissCosts()
  for (let i = 0; i < 100; i++) costs.record(10, true)
  costs.fade(0.01)
  costs.record(30, false)
  expect([costs.seconds, costs.callsPerMiss, costs.calls]).toEqual([0.02, 0.5, 100])
})

it('knows what a miss has cost as long as there is no other one, so that a cache which finds all is not taken for worthless', () => {
  const costs = new MissCosts()
  for (let i = 0; i < 100; i++) costs.record(10, i % 2 === 0)
  for (let tick = 0; tick < 20_000; tick++) costs.fade(0.89)
  expect(costs.seconds).toBeCloseTo(0.01)
  expect(costs.callsPerMiss).toBeCloseTo(0.5)
  // It counts next to nothing beside what comes.
  for (let i = 0; i < 20; i++) costs.record(50, true)
  expect(costs.seconds).toBeGreaterThan(0.045)
})
