import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { AnyAdapter } from '../../src/adapter-kit/define-adapter.ts'
import { createCall } from '../../src/adapter-kit/test-environment.ts'
import redisquota from '../../src/adapters/redisquota/index.ts'
import { AdapterEnvironments } from '../../src/compose/adapter-environments.ts'
import type { HandlerConfig } from '../../src/config/snapshot.ts'
import { connectRedis, type RedisLink } from '../../src/redis/connection.ts'
import type { RedisTlsFiles } from '../../src/redis/redis-access.ts'
import { createCertificates } from '../helpers/certificates.ts'
import { freePort } from '../helpers/ports.ts'
import { startRedis } from '../helpers/redis.ts'
import { type RedisCluster, startCluster } from '../helpers/redis-cluster.ts'
import { startSentinel } from '../helpers/redis-sentinel.ts'
import { fixedRandom, KeptLog, ReadableMeter, realClock, until } from '../redis/support.ts'

const ports = () => ({ clock: realClock, random: fixedRandom, log: new KeptLog(), meter: new ReadableMeter() })
const ends: (() => void | Promise<void>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

interface Node {
  readonly queueLink?: RedisLink
  readonly prefix?: string
  readonly tls?: RedisTlsFiles
}

/** The quota of a node: what it grants of an amount, or the code of its failure. */
function quotaOf({ queueLink, prefix = 'intermix', tls }: Node, params: object = {}, max = 1000) {
  const more = { process: 1, processId: 'test', listener: undefined, timeoutMs: 500, tls, queueLink, prefix }
  const environments = new AdapterEnvironments({ ...ports(), ...more })
  ends.push(() => environments.close())
  const quotas = [{ name: 'rq', maxAmount: max, validDuration: '1h' }]
  const parsed = redisquota.config.parse({ quotas, ...params })
  expect(redisquota.validate?.(parsed)).toEqual([])
  const handler = { name: 'quotas.handler.prod', adapter: redisquota as AnyAdapter } as unknown as HandlerConfig
  const { environment } = environments.create(handler)
  const { quota } = redisquota.create(parsed, environment)
  return async (amount: number, deduplicationId = ''): Promise<number> => {
    const instance = { name: 'rq.instance.prod', template: 'quota', fields: {} } as const
    const request = { amount, bestEffort: false, deduplicationId }
    const result = await quota?.quota?.(instance, request, createCall(environment))
    return result?.granted ?? -1
  }
}

function queueOf(url: string): RedisLink {
  const link = connectRedis({ access: { url }, role: 'queue', commandTimeoutMs: 500, ...ports() })
  ends.push(() => link.close())
  return link
}

describe('a Redis of quotas', () => {
  it('answers the first call after the start, made before there is a connection', async () => {
    const redis = await startRedis()
    ends.push(() => redis.stop())
    expect(await quotaOf({ queueLink: queueOf(redis.url) })(1)).toBe(1)
    expect(await quotaOf({}, { redisServerUrl: redis.url })(1)).toBe(1)
  })

  it('gives no answer when it is not there', async () => {
    const ask = quotaOf({}, { redisServerUrl: `127.0.0.1:${await freePort()}` })
    await expect(ask(1)).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    await expect(ask(1)).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
  })

  it('has limits for each installation, whichever Redis it is', async () => {
    const redis = await startRedis()
    ends.push(() => redis.stop())
    const own = ['intermix', 'intermix.east', 'shop'].map((prefix) =>
      quotaOf({ queueLink: queueOf(redis.url), prefix }, {}, 1),
    )
    expect(await Promise.all(own.map((ask) => ask(1)))).toEqual([1, 1, 1])
    expect(await Promise.all(own.map((ask) => ask(1)))).toEqual([0, 0, 0])
    const named = ['a', 'b'].map((prefix) => quotaOf({ prefix }, { redisServerUrl: redis.url }, 1))
    expect(await Promise.all(named.map((ask) => ask(1)))).toEqual([1, 1])
    expect(await quotaOf({ prefix: 'a' }, { redisServerUrl: redis.url }, 1)(1)).toBe(0)
  })

  it('counts on while the slots of a cluster move, and goes on after a failover', async () => {
    const cluster = await startCluster({ masters: 3, replicas: 1 })
    ends.push(() => cluster.stop())
    const ask = quotaOf({}, { redisServerUrl: cluster.url })
    expect(await ask(1)).toBe(1)
    const [counter = ''] = await keysOf(cluster)
    expect(counter).toMatch(/^intermix:rq:\{quotas\.handler\.prod:.*\}:fixed$/)
    const owner = await cluster.ownerOf(counter)
    const [other = 0] = (await cluster.masters()).filter((port) => port !== owner)
    const moving = { ended: false }
    const moved = moveSlot(cluster, counter, owner, other).finally(() => {
      moving.ended = true
    })
    let granted = 1
    while (!moving.ended) granted += await ask(1, `m${granted}`)
    await moved
    expect(await cluster.ownerOf(counter)).toBe(other)
    granted += await ask(1, 'moved')
    expect(granted).toBeGreaterThan(3)
    await cluster.kill(other)
    const again = () =>
      ask(1, 'after').then(
        (amount) => amount === 1,
        () => false,
      )
    await until(again, 'the quota is granted after the failover', 15_000)
    expect(await ask(1000)).toBe(0)
    expect(await ask(1000 - granted - 1)).toBe(1000 - granted - 1)
  })

  it('is found through Sentinel, with passwords from files, and followed in a failover', async () => {
    const sentinel = await startSentinel({ password: 'server', sentinelPassword: 'watch', replicas: 1 })
    ends.push(() => sentinel.stop())
    const folder = await mkdtemp(join(tmpdir(), 'intermix-quota-'))
    ends.push(() => rm(folder, { recursive: true }))
    const [redisPasswordFile, redisSentinelPasswordFile] = [join(folder, 'a'), join(folder, 'b')] as const
    await writeFile(redisPasswordFile, 'server\n')
    await writeFile(redisSentinelPasswordFile, 'watch\n')
    const redisServerUrl = sentinel.url.replace(':server@', '')
    const ask = quotaOf({}, { redisServerUrl, redisPasswordFile, redisSentinelPasswordFile })
    expect(await ask(1)).toBe(1)
    await sentinel.failover()
    await until(
      () =>
        ask(1, 'again').then(
          (amount) => amount === 1,
          () => false,
        ),
      'the quota is granted again',
    )
    expect(await ask(999)).toBe(0)
  })

  it('is trusted by the authorities that the node has for Redis', async () => {
    const certificates = await createCertificates()
    ends.push(() => certificates.remove())
    const { authority: ca, certificate, key } = certificates
    const port = await freePort()
    const files = ['--tls-ca-cert-file', ca, '--tls-cert-file', certificate, '--tls-key-file', key]
    const redis = await startRedis({ args: ['--tls-port', String(port), ...files, '--tls-auth-clients', 'no'] })
    ends.push(() => redis.stop())
    const params = { redisServerUrl: `rediss://127.0.0.1:${port}` }
    expect(await quotaOf({ tls: { ca } }, params)(1)).toBe(1)
    await expect(quotaOf({}, params)(1)).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
  })
})

async function keysOf(cluster: RedisCluster): Promise<readonly string[]> {
  const found = await Promise.all((await cluster.masters()).map((port) => cluster.ask(port, 'KEYS', '*')))
  return found.flat() as string[]
}

/** Moves the slot of a key with all that lies in it. */
async function moveSlot(cluster: RedisCluster, key: string, from: number, to: number): Promise<void> {
  const slot = Number(await cluster.ask(from, 'CLUSTER', 'KEYSLOT', key))
  const idOf = async (port: number) => String(await cluster.ask(port, 'CLUSTER', 'MYID'))
  const [source, target] = [await idOf(from), await idOf(to)]
  await cluster.ask(to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', source)
  await cluster.ask(from, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', target)
  for (;;) {
    const keys = (await cluster.ask(from, 'CLUSTER', 'GETKEYSINSLOT', slot, 10)) as string[]
    if (keys.length === 0) break
    await cluster.ask(from, 'MIGRATE', '127.0.0.1', to, '', 0, 5000, 'KEYS', ...keys)
  }
  await cluster.ask(to, 'CLUSTER', 'SETSLOT', slot, 'NODE', target)
  await cluster.ask(from, 'CLUSTER', 'SETSLOT', slot, 'NODE', target)
}
