import { expect, it } from 'vitest'
import { askVerdicts, verdictTier } from '../../load/cache-tuning/simulated-caches.ts'
import { TimedClock } from '../../load/cache-tuning/timed-clock.ts'
import { CacheTuner } from '../../src/cache/tuning/cache-tuner.ts'
import { KeptLog } from '../redis/support.ts'
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

it('keeps what comes again for the first time after ten minutes', () => {
  const clock = new TimedClock()
  const options = { memoryBytes: 8_000_000, secondsPerUnit: 0, costPerCall: () => 0 }
  const tuner = new CacheTuner({ clock, log: new KeptLog(), ...options })
  const { cache, costs } = tuner.join('a', 'verdicts', verdictTier)
  const ask = askVerdicts(cache)
  const [keys, aSecond] = [15_000, 25]
  tuner.start()
  const round = () => {
    let hits = 0
    for (let key = 0; key < keys; key++) {
      if (ask(key)) hits++
      else costs.record(10, true)
      if (key % aSecond === 0) clock.advance(1_000)
    }
    return hits
  }
  expect([round(), round()]).toEqual([0, keys])
  tuner.stop()
})
