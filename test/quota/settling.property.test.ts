// What several nodes grant while Redis comes and goes, held against a log of all that was granted: when Redis is back it has
// counted that, once.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AwayPolicy, LimitRule } from '../../src/adapter-kit/limits.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { freeBy } from './reference.ts'
import { QuotaMesh } from './simulated-nodes.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 15_000 })

const NODES = 2
const DAY_MS = 86_400_000

const limit = { amount: 12, windowMs: 1_000 } as const
const RULES: readonly LimitRule[] = [
  { algorithm: 'gcra', ...limit, burst: 8 },
  { algorithm: 'tokenBucket', ...limit, burst: 20 },
  { algorithm: 'fixedWindow', ...limit, from: 'epoch' },
  { algorithm: 'slidingWindow', ...limit },
  { algorithm: 'rollingWindow', ...limit, bucketMs: 100 },
  { algorithm: 'calendarWindow', amount: 12, unit: 'minute' },
  { algorithm: 'allocation', amount: 12, expiryMs: DAY_MS },
  { algorithm: 'concurrency', amount: 12, expiryMs: DAY_MS },
]

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ node: fc.nat(NODES - 1), amount: fc.integer({ min: -3, max: 4 }), id: fc.nat(20) }),
  },
  { weight: 2, arbitrary: fc.constantFrom('cut' as const, 'mend' as const) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 1_500 }) },
)

/** Given back, by whomever, and taken then. */
const GIVEN_BACK_FIRST = ['cut' as const, { node: 0, amount: -1, id: 0 }, { node: 0, amount: 1, id: 0 }]

/** What this rule takes of an amount: rates are not given back, allocations up to what is held, places are taken one by one. */
function amountFor({ algorithm }: LimitRule, amount: number, held: number): number {
  if (algorithm === 'allocation') return Math.max(amount, -held)
  return algorithm === 'concurrency' ? Math.sign(amount) : Math.abs(amount)
}

describe.each(RULES.map((rule) => [rule.algorithm, rule] as const))('%s', (algorithm, rule) => {
  it('counts in Redis what was granted without it, once', async () => {
    const property = fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 30 }),
      fc.constantFrom<AwayPolicy>('share', 'open'),
      async (steps, away) => {
        const mesh = new QuotaMesh(link, NODES)
        const log: { at: number; amount: number; id: string }[] = []
        const mend = async () => {
          mesh.link.set(true)
          for (const node of mesh.nodes) await node.settled()
        }
        const ask = async (node: number, amount: number, id: string) => {
          const name = algorithm === 'concurrency' ? { id } : {}
          const outcomes = await mesh.nodes[node]?.charge([{ key: 'k', rule, amount, away }], { mode: 'all', ...name })
          return outcomes?.[0]
        }
        for (const each of steps) {
          if (each === 'cut') mesh.link.set(false)
          else if (each === 'mend') await mend()
          else if (typeof each === 'number') await mesh.clock.advance(each)
          else {
            const held = log.reduce((sum, { amount, id }) => sum + (id.startsWith(`${each.node} `) ? amount : 0), 0)
            const outcome = await ask(each.node, amountFor(rule, each.amount, held), `${each.node} ${each.id}`)
            const granted = outcome?.granted ?? 0
            if (granted !== 0) log.push({ at: mesh.clock.now(), amount: granted, id: `${each.node} ${each.id}` })
          }
        }
        await mend()
        const left = (await ask(0, 0, ''))?.left ?? Number.NaN
        const free = freeBy(rule, log, mesh.clock.now())
        if ('burst' in rule) {
          // Each node counts whole tokens, and no bucket is fuller than full.
          expect(left).toBeLessThanOrEqual(Math.max(0, free) + NODES)
          expect(left).toBeGreaterThanOrEqual(Math.min(0, free))
        } else expect(left).toBe(free)
      },
    )
    await fc.assert(property, { numRuns: 15, examples: [[GIVEN_BACK_FIRST, 'share']] })
  })
})
