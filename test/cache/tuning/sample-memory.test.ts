// Samples are bounded by what they say that they take, so that must be what they take of memory.

import { expect, it } from 'vitest'
import { seededRandom } from '../../../load/random.ts'
import { CurveSampler } from '../../../src/cache/tuning/curve-sampler.ts'
import { usedHeap } from '../../helpers/used-heap.ts'

const SAMPLERS = 30

it.each([
  ['answers', 0],
  ['verdicts', 0],
  ['answers', 10_000],
  ['verdicts', 10_000],
] as const)('says what copies of %s take, of %d keys', async (kind, keys) => {
  // The runner holds what the test before had until the next turn: it would be missed afterwards.
  await new Promise((resolve) => setImmediate(resolve))
  const heap = usedHeap()
  const options = { now: () => 0, rate: 0.2, bytes: 1e6, mostBytes: 4e6 }
  const samplers = Array.from({ length: SAMPLERS }, () => new CurveSampler({ kind, ...options }))
  const random = seededRandom(1)
  for (const sampler of samplers)
    for (let i = 0; i < keys; i++) sampler.stored((random() * 2 ** 32) | 0, 300, 1e9, true, undefined)
  const says = samplers.reduce((sum, { emptyBytes, entryBytes }) => sum + emptyBytes + entryBytes, 0)
  const took = usedHeap() - heap
  expect(samplers).toHaveLength(SAMPLERS)
  expect(took / says).toBeGreaterThan(0.5)
  expect(took / says).toBeLessThan(1.25)
})
