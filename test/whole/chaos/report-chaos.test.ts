// Reports while everything is killed, stopped and paused: what was acknowledged arrives. The long form, with faults by chance, is
// `load/report-chaos.ts`; here each kind of fault comes once, those that are worse together at the same time.

import { afterEach, describe, expect, it } from 'vitest'
import type { Fault, Target } from '../../../load/report-chaos/faults.ts'
import { type Ack, chaosRun, type Outcome } from '../../../load/report-chaos/run.ts'
import { violations } from '../../../load/report-chaos/verdict.ts'
import { toolOrSkip } from '../../helpers/tools.ts'

const redis = toolOrSkip('redis-server')

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

function faults(...of: readonly [Target, Fault['kind'], index: number, at: number, forMs: number][]): Fault[] {
  return of.map(([target, kind, index, at, forMs]) => ({ target, kind, index, at, forMs }))
}

const ALL = faults(
  ['redis', 'fill', 0, 1_000, 2_500],
  ['worker', 'kill', 0, 1_500, 500],
  ['backend', 'flaky', 0, 2_000, 3_000],
  // A node dies while Redis is away, with all that it could not hand on.
  ['redis', 'kill', 0, 6_000, 4_000],
  ['node', 'kill', 0, 8_000, 500],
  ['worker', 'pause', 1, 7_000, 2_000],
  // A node ends in good order while Redis stands still, and the backend is away.
  ['redis', 'pause', 0, 13_000, 2_000],
  ['node', 'stop', 1, 13_500, 500],
  ['backend', 'fails', 0, 12_000, 4_000],
  ['worker', 'stop', 1, 15_000, 500],
  ['node', 'pause', 0, 17_000, 1_500],
)

async function run(ack: Ack, of: readonly Fault[], durationMs: number): Promise<Outcome> {
  const outcome = await chaosRun(
    {
      ack,
      fsync: 'everysec',
      seed: 1,
      durationMs,
      faults: of,
      everyMs: 100,
      drainMs: 90_000,
      maxMemoryBytes: 64 * 2 ** 20,
    },
    (end) => ends.push(end),
  )
  const { doors, delivered, accounts } = outcome
  console.log(`${ack}: ${delivered} arrived; ${JSON.stringify({ doors, accounts })}`)
  return outcome
}

describe.skipIf(redis === undefined)('reports while nodes, workers, Redis and the backend fail', () => {
  it('arrive once each, where that was acknowledged', async () => {
    const outcome = await run('queued', ALL, 20_000)
    expect(violations(outcome)).toEqual([])
    expect(outcome.delivered).toBeGreaterThan(1_000)
  }, 180_000)
})
