// What requests are told of limits that rules charge: the same whether answers are kept or not, at one node or at two that
// share Redis, and what a naive count of all charges says.

import fc from 'fast-check'
import { expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import type { Answer } from '../../src/kernel/verdict.ts'
import { NodeLimits } from '../../src/quota/node-limits.ts'
import { QuotaMetrics } from '../../src/quota/quota-metrics.ts'
import { RedisLimits } from '../../src/quota/redis-limits.ts'
import { FakeClock } from '../helpers/clock.ts'
import { document, goodPolicy } from '../policy/policy-node.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'
import { createSimulatedNode } from './simulated-node.ts'
import { WatchedLink } from './watched-link.ts'

const link = new WatchedLink((await sharedRedis({ commandTimeoutMs: 15_000 })).link)

const HANDLERS = ['h0', 'h1'] as const
/** The last one is charged by shadow rules alone: whether they come before or after the enforced ones is open. */
const QUOTAS = ['calls', 'bytes', 'beside'] as const
const BESIDE = 2
const USERS = ['ann', 'bob'] as const
const PATHS = ['/a', '/b'] as const

interface Config {
  /** By handler, then by quota. */
  readonly most: readonly (readonly number[])[]
  /** By quota: what a request charges. */
  readonly amounts: readonly number[]
  readonly rules: readonly {
    readonly path: string | undefined
    readonly mode: 'enforce' | 'shadow'
    readonly asks: readonly (readonly [handler: number, quota: number])[]
  }[]
}

const index = fc.integer({ min: 0, max: 1 })
const configs: fc.Arbitrary<Config> = fc.record({
  most: fc.array(fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 2, maxLength: 2 }), {
    minLength: 2,
    maxLength: 2,
  }),
  amounts: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 2, maxLength: 2 }),
  rules: fc.array(
    fc
      .record({
        path: fc.option(fc.constantFrom(...PATHS), { nil: undefined }),
        mode: fc.constantFrom('enforce', 'enforce', 'enforce', 'shadow'),
        asks: fc.array(fc.tuple(index, index), { minLength: 1, maxLength: 3 }),
      })
      .map((rule) =>
        rule.mode === 'shadow' ? { ...rule, asks: rule.asks.map(([at]) => [at, BESIDE] as const) } : rule,
      ),
    { minLength: 1, maxLength: 4 },
  ),
})
const requests = fc.array(
  fc.record({ user: fc.constantFrom(...USERS), path: fc.constantFrom(...PATHS), node: index }),
  { minLength: 1, maxLength: 20 },
)

function policy({ most, amounts, rules }: Config) {
  return goodPolicy(
    ...HANDLERS.map((name, handler) => {
      const quotas = QUOTAS.map((quota, at) => ({
        name: quota,
        limits: [{ maxAmount: most[handler]?.[at] ?? 0, calendar: 'year' }],
      }))
      return document({ kind: 'handler', name, spec: { compiledAdapter: 'quota', params: { quotas } } })
    }),
    ...QUOTAS.map((name, at) => {
      const params = { dimensions: { who: 'request.headers["x-user"]' }, amount: String(amounts[at] ?? 1) }
      return document({ kind: 'instance', name, spec: { compiledTemplate: 'quota', params } })
    }),
    ...rules.map(({ path, mode, asks }, at) => {
      const actions = asks.map(([handler, quota]) => ({ handler: HANDLERS[handler], instances: [QUOTAS[quota]] }))
      const spec = { ...(path === undefined ? {} : { match: `request.path == "${path}"` }), mode, actions }
      return JSON.stringify({
        apiVersion: 'intermix.dev/v1',
        kind: 'rule',
        metadata: { name: `r${at}`, namespace: 'istio-system' },
        spec,
      })
    }),
  )
}

/** Counts by hand. */
class Naive {
  readonly #config: Config
  readonly #used = new Map<string, number>()

  constructor(config: Config) {
    this.#config = config
  }

  /** The status, and what is left of each limit that was asked, in order. */
  ask(user: string, path: string): string {
    const applying = this.#config.rules.filter((rule) => rule.path === undefined || rule.path === path)
    return this.#charge(
      user,
      applying.filter(({ mode }) => mode === 'enforce').flatMap(({ asks }) => asks),
    )
  }

  #charge(user: string, asks: Config['rules'][0]['asks']): string {
    const left: number[] = []
    const handlers = [...new Set(asks.map(([handler]) => handler))]
    for (const handler of handlers) {
      const quotas = [...new Set(asks.filter(([of]) => of === handler).map(([, quota]) => quota))]
      const counters = quotas.map((quota) => {
        const key = `${handler} ${quota} ${user}`
        const free = (this.#config.most[handler]?.[quota] ?? 0) - (this.#used.get(key) ?? 0)
        return { key, free, amount: this.#config.amounts[quota] ?? 0 }
      })
      const isGranted = counters.every(({ free, amount }) => amount <= free)
      for (const { key, free, amount } of counters) {
        if (isGranted) this.#used.set(key, (this.#used.get(key) ?? 0) + amount)
        left.push(isGranted ? free - amount : free)
      }
      if (!isGranted) return `8 ${left.join()}`
    }
    return `0 ${left.join()}`
  }
}

function told({ status, responseHeaders, directResponse }: Answer): string {
  const field = responseHeaders.find(({ name }) => name === 'ratelimit')?.value
  const text = field ?? directResponse?.headers['ratelimit'] ?? ''
  return `${status.code} ${Array.from(text.matchAll(/;r=(\d+)/g), ([, left]) => left).join()}`
}

let worlds = 0

async function startWorld(
  config: Config,
  options: { readonly nodes: number; readonly answers: boolean; readonly redis: boolean },
) {
  const clock = new FakeClock()
  const prefix = `charged${worlds++}:`
  const snapshot = policy(config)
  const meter = new ReadableMeter()
  const shared = (handler: string) =>
    new NodeLimits({
      shared: new RedisLimits({ link, clock, prefix: `${prefix}${handler}:` }),
      link,
      clock,
      log: new KeptLog(),
      metrics: new QuotaMetrics(meter, handler),
      processes: { count: options.nodes, note: () => undefined },
    })
  const nodes = await Promise.all(
    Array.from({ length: options.nodes }, (_, at) =>
      createSimulatedNode(
        {
          clock,
          random: () => 0.5,
          link: undefined,
          prefix,
          nodeId: `n${at}`,
          answers: options.answers,
          ...(options.redis ? { limits: shared } : {}),
        },
        snapshot,
      ),
    ),
  )
  return {
    async ask(user: string, path: string, at: number): Promise<string> {
      const bag = MapBag.of({ 'request.headers': new Map([['x-user', user]]), 'request.path': path })
      // What was refused a moment ago is refused from memory: so time passes.
      await clock.advance(200)
      const outcome = await nodes[at % nodes.length]?.engine.check(bag, { timeoutMs: 10_000 })
      if (outcome === undefined) throw new Error('no node')
      // What shadow rules charge is not waited for.
      await link.replies()
      return told(outcome.answer)
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()))
    },
  }
}

const WORLDS = [
  { nodes: 1, answers: false, redis: false },
  { nodes: 1, answers: true, redis: false },
  { nodes: 1, answers: true, redis: true },
  { nodes: 2, answers: true, redis: true },
] as const

it('is what a naive count says, with kept answers and without, at one node and at two over Redis', async () => {
  await fc.assert(
    fc.asyncProperty(configs, requests, async (config, asked) => {
      for (const options of WORLDS) {
        const world = await startWorld(config, options)
        const naive = new Naive(config)
        for (const { user, path, node } of asked)
          expect(await world.ask(user, path, node), JSON.stringify(options)).toBe(naive.ask(user, path))
        await world.stop()
      }
    }),
    { numRuns: 15 },
  )
}, 60_000)
