// Nodes, workers and servers of a Redis cluster are restarted one at a time, in good order, under load, as an update does it. With
// Sentinel, and in the long form: `load/redis-topologies.ts`.

import { afterEach, describe, expect, it } from 'vitest'
import { topologyRun } from '../../load/redis-topologies/run.ts'
import { violations } from '../../load/redis-topologies/verdict.ts'
import { toolOrSkip } from '../helpers/tools.ts'

const redis = toolOrSkip('redis-server')

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

describe.skipIf(redis === undefined)('a rolling restart of everything', () => {
  it('leaves no check wrong or failed, and no record lost or doubled', async () => {
    const options = { cases: ['cluster-rolling'], ack: 'queued', pauseMs: 500, perSecond: 30, seed: 1 } as const
    const outcome = await topologyRun(options, (end) => ends.push(end))
    expect(violations(outcome)).toEqual([])
    expect(outcome.checks.checks).toBeGreaterThan(100)
    expect(outcome.delivered).toBeGreaterThan(100)
  })
})
