import { expect, it } from 'vitest'
import { runTuned } from '../../load/cache-tuning/run.ts'
import { WORKLOADS } from '../../load/cache-tuning/workloads.ts'

it('divides its memory nearly as well as who knows what will be asked, and again after that has changed', () => {
  const [workload] = WORKLOADS
  if (workload === undefined) throw new Error('there is no workload')
  const options = { memoryBytes: 4_000_000, requestsPerSecond: 300, minutes: 10, seed: 1, steps: 8 }
  const { phases, moves, mostBound, mostHeld } = runTuned(workload, options)
  expect(moves).toBeGreaterThan(4)
  expect(mostBound).toBeLessThanOrEqual(1)
  expect(mostHeld).toBeLessThanOrEqual(1)
  const [first, shifted] = phases
  expect(first?.sizes.a).toBeGreaterThan(first?.sizes.b ?? 1)
  expect(shifted?.sizes.b).toBeGreaterThan(shifted?.sizes.a ?? 1)
  for (const { hitRatio, bestRatio } of phases) expect(hitRatio).toBeGreaterThan(0.96 * bestRatio)
})
