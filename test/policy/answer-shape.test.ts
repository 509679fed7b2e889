// What answers depended on, as callers that keep them are told, where nodes find attributes by themselves.

import { describe, expect, it } from 'vitest'
import type { Revocations } from '../../src/cache/revocations.ts'
import { FirstLevelCache } from '../../src/client/first-level-cache.ts'
import { createFirstLevelMetrics } from '../../src/client/first-level-metrics.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { ReadCollector } from '../../src/cache/read-collector.ts'
import { shapeOf } from '../../src/policy/answer-shape.ts'
import { ReadableMeter } from '../redis/support.ts'
import { document, goodPolicy, ip, type PolicyNode, refusingRule, startNode } from './policy-node.ts'

const KEEPING = { keepsAnswer: true, shape: true, references: false } as const

/** Denies GET to the workload `bad`, which the generator takes the caller for where it is named so. */
function policy(workload: string) {
  return goodPolicy(
    document({ kind: 'handler', name: 'pods', spec: { compiledAdapter: 'pods', params: { workload } } }),
    document({
      kind: 'instance',
      name: 'attributes',
      spec: {
        compiledTemplate: 'kubernetes',
        params: { source_ip: 'source.ip' },
        attributeBindings: { 'source.workload.name': '$out.source_workload_name | "unknown"' },
      },
    }),
    document({ kind: 'rule', name: 'attributes', spec: { actions: [{ handler: 'pods', instances: ['attributes'] }] } }),
    refusingRule('bad', 'source.workload.name == "bad" && request.method == "GET"'),
  )
}

const web = { 'source.ip': ip('10.0.0.1'), 'request.method': 'GET' }
const other = { ...web, 'request.method': 'POST' }

async function told(node: PolicyNode, attributes: typeof web) {
  const { answer, shape, staleForMs = 0, isPaid = false } = await node.check(attributes, KEEPING)
  return { answer, shape, staleForMs, isPaid, grants: new Map() }
}

function cacheOf(revocations: Pick<Revocations, 'allows'>) {
  const { onEvict, notKept } = createFirstLevelMetrics(new ReadableMeter())
  const bounds = { maxEntries: 100, maxBytes: 1_000_000, maxAgeMs: () => Number.POSITIVE_INFINITY }
  return new FirstLevelCache({ ...bounds, revocations, onEvict, notKept })
}

describe('an answer that hangs on generated attributes', () => {
  it('is not that of a config with other generators, though its rules are the same', async () => {
    const [before, after] = [policy('good'), policy('bad')]
    const node = await startNode(before)
    const cache = cacheOf(node.revocations)
    const times = { askedAt: 0, now: 0, refreshAfter: 0.8, isAsked: true }
    const wanted = (config: string, attributes: typeof web) =>
      ({ config, charging: 'all', bag: MapBag.of(attributes) }) as const
    const allowed = await told(node, web)
    expect(allowed.answer.status.code).toBe(0)
    expect(cache.keep(wanted(before.id, web), allowed, times)).toBeDefined()
    await node.apply(after)
    // By this one it is learned how the rules of the new config are chosen.
    expect(cache.keep(wanted(after.id, other), await told(node, other), times)).toBeDefined()
    expect(cache.find(wanted(after.id, other), 1)).toBeDefined()
    expect((await told(node, web)).answer.status.code).not.toBe(0)
    expect(cache.find(wanted(after.id, web), 1)).toBeUndefined()
  })

  it('is void when a value of theirs is revoked, though another request under the same rules brought its own', async () => {
    const node = await startNode(policy('good'))
    const cache = cacheOf(node.revocations)
    const times = { askedAt: 0, now: 0, refreshAfter: 0.8, isAsked: true }
    const wanted = (attributes: typeof web) =>
      ({ config: policy('good').id, charging: 'all', bag: MapBag.of(attributes) }) as const
    const brought = { ...web, 'source.workload.name': 'mine' }
    // By this one it is learned what is generated under these rules.
    expect(cache.keep(wanted(brought), await told(node, brought), times)).toBeDefined()
    expect(cache.keep(wanted(web), await told(node, web), times)).toBeDefined()
    expect(cache.find(wanted(web), 1)).toBeDefined()
    const target = { kind: 'attribute', name: 'source.workload.name', key: undefined, value: 'good' } as const
    node.revocations.apply({ sequence: node.revocations.epoch.sequence + 1, target })
    expect(cache.find(wanted(brought), 1)).toBeDefined()
    expect(cache.find(wanted(web), 1)).toBeUndefined()
  })

  it('is void when the handler that found them is revoked', async () => {
    const node = await startNode(policy('good'))
    expect((await told(node, web)).shape?.handlers).toContain('pods.handler.istio-system')
  })

  it('is told to nobody where finding them read more than is told', async () => {
    const node = await startNode(policy('good'))
    await node.requests.handle(MapBag.of(web), { timeoutMs: 1_000, shape: true }, (call) => {
      const inputs = new ReadCollector()
      for (let at = 0; at < 600; at++) inputs.attribute(`a${at}`, undefined)
      const epoch = node.revocations.epoch
      expect(shapeOf(call, [], epoch)).toBeDefined()
      expect(shapeOf({ ...call, inputs }, [], epoch)).toBeUndefined()
    })
  })
})
