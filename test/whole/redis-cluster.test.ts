// A mesh on a real Redis Cluster whose masters are killed, paused and replaced, whose slots move and of which a shard goes away.
// The long form, each fault by itself, is `load/redis-topologies.ts`.

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
  const { checks, records, behindMs, ledger } = outcome
  console.log(`${cases.join(', ')}: ${JSON.stringify({ checks, records, behindMs, findings: ledger.findings })}`)
  return outcome
}

const PATIENCE = { timeout: 300_000 }

describe.skipIf(redis === undefined)(
  'no check is wrong or fails, and no record is lost, while a cluster',
  PATIENCE,
  () => {
    it('has its masters killed', async () => {
      const outcome = await run('queued', 'cluster-kill')
      expect(violations(outcome)).toEqual([])
      expect(outcome.delivered).toBeGreaterThan(100)
    })

    it('has its masters paused, if replicas must have what is acknowledged', async () => {
      const outcome = await run('replicated', 'cluster-pause')
      expect(violations(outcome)).toEqual([])
      expect(outcome.delivered).toBeGreaterThan(100)
    })

    it('has masters that it knows to be well, and nobody reaches', async () => {
      const outcome = await run('queued', 'cluster-cut')
      expect(violations(outcome)).toEqual([])
      expect(outcome.delivered).toBeGreaterThan(50)
    })

    it('hands over by hand, moves slots and has no shard left for a while', async () => {
      const outcome = await run('queued', 'cluster-failover', 'cluster-reshard', 'cluster-shard-away')
      expect(violations(outcome)).toEqual([])
      expect(outcome.delivered).toBeGreaterThan(100)
    })
  },
)
