// A mesh on a real Sentinel setup whose master is killed, paused and replaced, and whose sentinels go away. The long form, each
// fault by itself, is `load/redis-topologies.ts`.

import { afterEach, describe, expect, it } from 'vitest'
import type { Ack } from '../../load/report-chaos/fleet.ts'
import { type Outcome, topologyRun, type TopologyOptions } from '../../load/redis-topologies/run.ts'
import { violations } from '../../load/redis-topologies/verdict.ts'
import { toolOrSkip } from '../helpers/tools.ts'

const redis = toolOrSkip('redis-server')

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function run(ack: Ack, ...cases: TopologyOptions['cases']): Promise<Outcome> {
  const outcome = await topologyRun({ cases, ack, pauseMs: 500, perSecond: 30, seed: 1 }, (end) => ends.push(end))
  const { checks, records, behindMs } = outcome
  console.log(
    `${cases.join(', ')}: ${JSON.stringify({ checks, records, behindMs, findings: outcome.ledger.findings })}`,
  )
  return outcome
}

describe.skipIf(redis === undefined)('no check is wrong or fails, and no record is lost', { timeout: 300_000 }, () => {
  it('while the master dies, and while there are no sentinels', async () => {
    const outcome = await run('queued', 'sentinels-away', 'sentinel-kill')
    expect(violations(outcome)).toEqual([])
    expect(outcome.delivered).toBeGreaterThan(100)
  })

  it('where two servers take themselves for the master, if replicas must have what is acknowledged', async () => {
    const outcome = await run('replicated', 'sentinel-failover', 'sentinel-pause')
    expect(violations(outcome)).toEqual([])
    expect(outcome.delivered).toBeGreaterThan(100)
  })
})
