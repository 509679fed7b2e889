// Reports while everything is killed, stopped and paused: what was acknowledged arrives. The long form, with faults by chance, is
// `load/report-chaos.ts`; here each kind of fault comes once, those that are worse together at the same time.

import { afterEach, describe, expect, it } from 'vitest'
import { EACH_ONCE, EACH_ONCE_MS } from '../../../load/report-chaos/faults.ts'
import { type Ack, chaosRun, type Outcome } from '../../../load/report-chaos/run.ts'
import { violations } from '../../../load/report-chaos/verdict.ts'
import { toolOrSkip } from '../../helpers/tools.ts'

const redis = toolOrSkip('redis-server')

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function run(ack: Ack): Promise<Outcome> {
  const outcome = await chaosRun(
    {
      ack,
      fsync: 'everysec',
      seed: 1,
      durationMs: EACH_ONCE_MS,
      faults: EACH_ONCE,
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
    const outcome = await run('queued')
    expect(violations(outcome)).toEqual([])
    expect(outcome.delivered).toBeGreaterThan(1_000)
  }, 180_000)
})
