// Quotas that callers name, from pools before real nodes: no more than their limits, and hardly less, with few questions.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { attributePath } from '../../src/client/affinity.ts'
import { FirstLevelCheck } from '../../src/client/first-level-check.ts'
import { NodePool } from '../../src/client/nodes/node-pool.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { systemClock } from '../../src/kernel/system-clock.ts'
import { startRedis, type RedisServer } from '../helpers/redis.ts'
import { ReadableMeter } from '../redis/support.ts'
import { type Intermix, startIntermix } from './intermix.ts'

const LIMIT = 600
const SIDECARS = 3
const USERS = ['ann', 'bob']

const document = (kind: string, name: string, spec: object) =>
  JSON.stringify({ apiVersion: 'config.istio.io/v1alpha2', kind, metadata: { name, namespace: 'istio-system' }, spec })

const ATTRIBUTES = { 'source.user': { valueType: 'STRING' }, 'request.path': { valueType: 'STRING' } }

const quota = (name: string, adapter: string, params: object) => [
  document('handler', name, { compiledAdapter: adapter, params }),
  document('instance', `${name}quota`, {
    compiledTemplate: 'quota',
    params: { dimensions: { user: 'source.user | "nobody"' } },
  }),
  document('rule', name, {
    match: 'request.path.startsWith("/charged")',
    actions: [{ handler: name, instances: [`${name}quota`] }],
  }),
]

interface Sidecar {
  readonly checks: FirstLevelCheck
  readonly pool: NodePool
  readonly meter: ReadableMeter
}

describe('pools before a real node', () => {
  let redis: RedisServer
  let node: Intermix
  const folder = mkdtempSync(join(tmpdir(), 'intermix-quota-pools-'))
  const sidecars: Sidecar[] = []

  beforeAll(async () => {
    redis = await startRedis()
    const limited = (name: string) => ({ name, maxAmount: LIMIT, validDuration: '60s' })
    const documents = [
      document('attributemanifest', 'attributes', { attributes: ATTRIBUTES }),
      ...quota('memory', 'memquota', { quotas: [limited('memoryquota')] }),
      ...quota('shared', 'redisquota', {
        quotas: [{ ...limited('sharedquota'), rateLimitAlgorithm: 'FIXED_WINDOW' }],
        redisServerUrl: new URL(redis.url).host,
      }),
    ]
    writeFileSync(join(folder, 'quotas.yaml'), documents.join('\n---\n'))
    node = await startIntermix({ role: 'node', config: folder, nodeId: 'n', flags: ['--redis', redis.url] })
    for (let at = 0; at < SIDECARS; at++) sidecars.push(sidecar(at))
  }, 90_000)

  afterAll(async () => {
    for (const { checks, pool } of sidecars) {
      await checks.close()
      pool[Symbol.dispose]()
    }
    await node?.child.stop()
    await redis?.stop()
    rmSync(folder, { recursive: true })
  })

  function sidecar(at: number): Sidecar {
    const [clock, random, meter] = [systemClock, Math.random, new ReadableMeter()]
    const pool = new NodePool({ clock, random, connectTimeoutMs: 5_000, caller: `sidecar-${at}` })
    pool.setMembers([{ id: 'n', address: { host: '127.0.0.1', port: node.grpcPort } }])
    const choice = { affinity: [attributePath('source.user')], tenant: undefined }
    const bounds = { maxEntries: 1_000, maxBytes: 1_000_000, refreshesPerSecond: 10 }
    const { revocations } = pool
    return {
      checks: new FirstLevelCheck({ nodes: pool, revocations, clock, random, meter, choice, ...bounds }),
      pool,
      meter,
    }
  }

  /** So often as so many demands are granted; `undefined` where the node has too much else to do just now. */
  async function granted({ checks }: Sidecar, user: string, name: string): Promise<number | undefined> {
    const bag = MapBag.of({ 'source.user': user, 'request.path': '/charged/x' })
    const quotas = new Map([[name, { amount: 1, bestEffort: false }]])
    try {
      const outcome = await checks.check(bag, { timeoutMs: 10_000, charging: 'named', quotas })
      return outcome.quotas.get(name)?.granted ?? 0
    } catch (error) {
      if (IntermixError.from(error).retryable) return undefined
      throw error
    }
  }

  it.each(['memoryquota', 'sharedquota'])(
    'lets all that the limit of each user has pass and no more: %s',
    async (name) => {
      for (const { pool } of sidecars) await expect.poll(() => pool.config({ affinity: '', tenant: '' })).toBeDefined()
      const counts = new Map(USERS.map((user) => [user, 0]))
      const asked = () => sidecars.reduce((sum, { meter }) => sum + meter.value('pool_quotas_total', 'node'), 0)
      const before = asked()
      let sent = 0
      const callers = sidecars.flatMap((each) =>
        USERS.map(async (user) => {
          // What another sidecar still holds may be refused here: all go on until nobody has got any for a while.
          for (let refusedSince: number | undefined; ; ) {
            const got = await Promise.all(Array.from({ length: 5 }, () => granted(each, user, name)))
            const sum = got.reduce<number>((all, one) => all + (one ?? 0), 0)
            counts.set(user, (counts.get(user) ?? 0) + sum)
            sent += got.length
            const now = systemClock.monotonic()
            if (sum > 0 || !got.includes(0)) refusedSince = undefined
            else if (now - (refusedSince ??= now) > 300) return
            await new Promise((resolve) => systemClock.after(1, () => resolve(undefined)))
          }
        }),
      )
      await Promise.all(callers)
      for (const count of counts.values()) {
        expect(count).toBeLessThanOrEqual(LIMIT)
        expect(count).toBeGreaterThan(LIMIT * 0.8)
      }
      expect(asked() - before).toBeLessThan(sent / 2)
    },
    60_000,
  )
})
