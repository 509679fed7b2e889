// A mesh on a real Redis Cluster whose masters are killed, paused and replaced, whose slots move and of which a shard goes away.
// The long form, each fault by itself, is `load/redis-topologies.ts`.

import { afterEach, describe, expect, it } from 'vitest'
import { type Outcome, topologyRun, type TopologyOptions } from '../../load/redis-topologies/run.ts'
import { violations } from '../../load/redis-topologies/verdict.ts'
import { toolOrSkip } from '../helpers/tools.ts'

const redis = toolOrSkip('redis-server')

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function run(...cases: TopologyOptions['cases']): Promise<Outcome> {
  const outcome = await topologyRun({ cases, ack: 'queued', pauseMs: 500, perSecond: 30, seed: 1 }, (end) =>
    ends.push(end),
  )
  const { checks, records, behindMs } = outcome
  console.log(`${cases.join(', ')}: ${JSON.stringify({ checks, records, behindMs, findings: outcome.ledger.findings })}`)
  return outcome
}

describe.skipIf(redis === undefined)('no check is wrong or fails, and no record is lost, while a cluster', { timeout: 300_000 }, () => {
  it('has masters killed and paused, and takes them back', async () => {
    const outcome = await run('cluster-kill', 'cluster-pause')
    expect(violations(outcome)).toEqual([])
    expect(outcome.delivered).toBeGreaterThan(100)
  })

  it('hands over by hand, moves slots and has no shard left for a while', async () => {
    const outcome = await run('cluster-failover', 'cluster-reshard', 'cluster-shard-away')
    expect(violations(outcome)).toEqual([])
    expect(outcome.delivered).toBeGreaterThan(100)
  })
})
