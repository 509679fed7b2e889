// Reports while everything is killed, stopped and paused: what was acknowledged arrives. The long form, with faults by chance, is
// `load/report-chaos.ts`; here each kind of fault comes once, those that are worse together at the same time.

import { afterEach, describe, expect, it } from 'vitest'
import { EACH_ONCE, EACH_ONCE_MS, type Fault } from '../../../load/report-chaos/faults.ts'
import type { Ack } from '../../../load/report-chaos/fleet.ts'
import { chaosRun, type Outcome } from '../../../load/report-chaos/run.ts'
import { violations } from '../../../load/report-chaos/verdict.ts'
import { toolOrSkip } from '../../helpers/tools.ts'

const redis = toolOrSkip('redis-server')

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function run(ack: Ack, faults: readonly Fault[], durationMs: number): Promise<Outcome> {
  const outcome = await chaosRun(
    {
      ack,
      fsync: 'everysec',
      seed: 1,
      durationMs,
      faults,
      everyMs: 100,
      drainMs: 90_000,
      maxMemoryBytes: 64 * 2 ** 20,
    },
    (end) => ends.push(end),
  )
  const { doors, delivered, ledger } = outcome
  console.log(
    `${ack}: ${delivered} arrived, drained in ${outcome.drainedMs} ms; ${JSON.stringify({ doors, findings: ledger.findings })}`,
  )
  return outcome
}

describe.skipIf(redis === undefined)('reports while nodes, workers, Redis and the backend fail', () => {
  it('arrive once each, where that was acknowledged', async () => {
    const outcome = await run('queued', EACH_ONCE, EACH_ONCE_MS)
    expect(violations(outcome)).toEqual([])
    expect(outcome.delivered).toBeGreaterThan(1_000)
  })

  it('are named by the ledger where a node died that had only promised to have them', async () => {
    const faults: Fault[] = [
      { target: 'redis', kind: 'crowd', index: 0, at: 500, forMs: 5_500 },
      { target: 'node', kind: 'kill', index: 0, at: 4_500, forMs: 500 },
    ]
    const outcome = await run('memory', faults, 8_000)
    expect(violations(outcome)).toEqual([])
    expect(outcome.missing).toBeGreaterThan(0)
    expect(outcome.ledger.findings).toContainEqual(expect.objectContaining({ where: 'node' }))
  })
})
