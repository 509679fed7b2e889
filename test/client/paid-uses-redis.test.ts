// Several sidecars before several nodes that share a real Redis: what they pay for ahead never lifts a limit, and nearly all of it
// is used.

import { expect, it, onTestFinished } from 'vitest'
import { Revocations } from '../../src/cache/revocations.ts'
import { FirstLevelCheck } from '../../src/client/first-level-check.ts'
import type { NodeConfig, NodeQuestion, Nodes } from '../../src/client/nodes/nodes.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { systemClock } from '../../src/kernel/system-clock.ts'
import { NodeLimits } from '../../src/quota/node-limits.ts'
import { QuotaMetrics } from '../../src/quota/quota-metrics.ts'
import { RedisLimits } from '../../src/quota/redis-limits.ts'
import { document, goodPolicy } from '../policy/policy-node.ts'
import { createSimulatedNode, type SimulatedNode } from '../properties/simulated-node.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 15_000 })
const LIMIT = 2_000
const SIDECARS = 4

const CONFIG = goodPolicy(
  document({
    kind: 'handler',
    name: 'shared',
    spec: {
      compiledAdapter: 'quota',
      params: { quotas: [{ name: 'calls', accuracy: '5%', limits: [{ maxAmount: LIMIT, calendar: 'year' }] }] },
    },
  }),
  document({
    kind: 'instance',
    name: 'calls',
    spec: { compiledTemplate: 'quota', params: { dimensions: { who: 'request.headers["x-user"]' } } },
  }),
  JSON.stringify({
    apiVersion: 'intermix.dev/v1',
    kind: 'rule',
    metadata: { name: 'r', namespace: 'istio-system' },
    spec: { actions: [{ handler: 'shared', instances: ['calls'] }] },
  }),
)

async function startNode(nodeId: string): Promise<SimulatedNode> {
  const clock = systemClock
  const prefix = 'paid uses:'
  const limits = new NodeLimits({
    shared: new RedisLimits({ link, clock, prefix }),
    link,
    clock,
    log: new KeptLog(),
    metrics: new QuotaMetrics(new ReadableMeter(), 'h'),
    processes: { count: 2, note: () => undefined },
  })
  const options = { clock, random: Math.random, link: undefined, prefix, nodeId, limits: () => limits }
  const node = await createSimulatedNode(options, CONFIG)
  onTestFinished(async () => {
    await limits.close()
    await node.stop()
  })
  return node
}

/** Asks one node as a sidecar's stream would. */
class AskedNode implements Pick<Nodes, 'ask' | 'config' | 'maxAgeMs'> {
  calls = 0
  readonly #node: SimulatedNode

  constructor(node: SimulatedNode) {
    this.#node = node
  }

  async ask({ bag, ...question }: NodeQuestion) {
    this.calls++
    const asked = { ...question, keepsAnswer: true, shape: true, references: false }
    const { answer, shape, staleForMs = 0, isPaid = false, quotas } = await this.#node.engine.check(bag, asked)
    return { answer, shape, staleForMs, isPaid, grants: quotas }
  }

  config(): NodeConfig {
    const { snapshot } = this.#node.state()
    return { id: snapshot.id, vocabulary: snapshot.vocabulary, normalizes: false, allowedAmbiguities: new Set() }
  }

  maxAgeMs(): number {
    return Number.POSITIVE_INFINITY
  }
}

it('grants a limit once, from uses that sidecars have paid for ahead', async () => {
  const nodes = [await startNode('a'), await startNode('b')]
  const asked = Array.from({ length: SIDECARS }, (_, at) => new AskedNode(nodes[at % 2] as SimulatedNode))
  const sidecars = asked.map(
    (each) =>
      new FirstLevelCheck({
        nodes: each as unknown as Nodes,
        revocations: new Revocations(),
        clock: systemClock,
        random: Math.random,
        meter: new ReadableMeter(),
        maxEntries: 100,
        maxBytes: 1_000_000,
        choice: { affinity: [{ name: 'request.headers', key: 'x-user' }], tenant: undefined },
        refreshesPerSecond: 10,
      }),
  )
  const bag = MapBag.of({ 'request.headers': new Map([['x-user', 'ann']]) })
  let granted = 0
  let refusals = 0
  const send = async (sidecar: FirstLevelCheck) => {
    const { answer } = await sidecar.check(bag, { timeoutMs: 10_000 })
    if (answer.status.code === 0) granted++
    else refusals++
  }
  // Until everybody has been refused again and again: what was given back meanwhile has been granted, too.
  for (let round = 0; round < 3_000; round++) {
    await Promise.all(sidecars.map(send))
    if (refusals >= 400) break
  }
  await Promise.all(sidecars.map((sidecar) => sidecar.close()))
  console.log(
    granted,
    asked.map(({ calls }) => calls),
  )
  expect(granted).toBeLessThanOrEqual(LIMIT)
  expect(granted).toBeGreaterThan(LIMIT * 0.8)
  expect(asked.reduce((sum, { calls }) => sum + calls, 0)).toBeLessThan(granted / 3)
})
