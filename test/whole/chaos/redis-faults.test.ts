// Every way in which Redis can fail: checks are answered right and in time from the other tiers, and once the fault is
// over the nodes share verdicts again without a restart.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RedisLink } from '../../../src/redis/connection.ts'
import { startFlakyProxy } from '../../helpers/flaky-proxy.ts'
import { type RedisServer, startRedis } from '../../helpers/redis.ts'
import { type RedisSentinel, startSentinel } from '../../helpers/redis-sentinel.ts'
import { testLink, until, untilUp } from '../../redis/support.ts'
import { type ChaosMesh, startChaosMesh } from './nodes.ts'

let redis: RedisServer
let admin: RedisLink
let mesh: ChaosMesh | undefined
const ends: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  redis = await startRedis({ args: ['--maxmemory-policy', 'noeviction'] })
  admin = testLink(redis.url, 5_000).link
  await untilUp(admin)
})

afterEach(async () => {
  await mesh?.stop()
  mesh = undefined
  admin.close()
  for (const end of ends.splice(0)) await end()
  await redis.stop()
})

/** A mesh that shares verdicts through the Redis at `url`. */
async function sharing(url = redis.url, flags: readonly string[] = []): Promise<ChaosMesh> {
  mesh = await startChaosMesh(['--redis', url, ...flags])
  await mesh.untilShared()
  return mesh
}

/** Redis gives nothing: the first of each four checks asks the backend, and each node keeps what it was told. */
const ALONE = ['backend', 'local']

/** So that every check reads Redis. */
const LOCAL_OFF = ['--cache-local', 'off']

function keys(pattern: string): Promise<string[]> {
  return admin.run((client) => client.keys(pattern))
}

describe('checks are answered, and verdicts shared again afterwards, with Redis', () => {
  it('down at the start', async () => {
    await redis.kill()
    mesh = await startChaosMesh(['--redis', redis.url])
    expect(await mesh.askNew(20)).toEqual(expect.not.arrayContaining(['mesh']))
    await redis.restart()
    await mesh.untilShared()
  })

  it('killed', async () => {
    const { askNew, untilShared, nodes } = await sharing()
    const known = await nodes[0].ask('user-1')
    expect(known.tier).toBe('local')
    await redis.kill()
    expect((await nodes[0].ask('user-1')).tier).toBe('local')
    expect(new Set(await askNew(20))).toEqual(new Set(ALONE))
    await redis.restart()
    await untilShared()
  })

  it('restarted, empty', async () => {
    const { askNew, untilShared } = await sharing()
    const asking = askNew(30)
    await redis.restart()
    await asking
    await untilShared()
  })

  it('paused, of which each node waits for a handful of calls and then for none', async () => {
    const { askNew, untilShared, nodes } = await sharing()
    const before = await nodes[0].metric('intermix_redis_calls_total', 'outcome="timeout"')
    redis.pause()
    try {
      await askNew(10)
      const startedAt = performance.now()
      expect(new Set(await askNew(20))).toEqual(new Set(ALONE))
      const seconds = (performance.now() - startedAt) / 1_000
      // Five calls of each link open its breaker; after that there is one probe about each second.
      const timeouts = (await nodes[0].metric('intermix_redis_calls_total', 'outcome="timeout"')) - before
      expect(timeouts).toBeLessThanOrEqual(2 * (5 + 5 + Math.ceil(seconds) * 2))
      expect(await nodes[0].metric('intermix_redis_calls_total', 'outcome="refused"')).toBeGreaterThan(20)
    } finally {
      redis.resume()
    }
    await untilShared()
  })

  it('slow by 200 ms each way, from the start and later', async () => {
    const proxy = await startFlakyProxy({ host: '127.0.0.1', port: redis.port })
    ends.push(() => proxy.close())
    proxy.setLatency(200)
    mesh = await startChaosMesh(['--redis', `redis://127.0.0.1:${proxy.port}`])
    await mesh.askNew(10)
    proxy.setLatency(0)
    await mesh.untilShared()
    proxy.setLatency(200)
    expect(await mesh.askNew(20)).toEqual(expect.not.arrayContaining(['mesh']))
    proxy.setLatency(0)
    await mesh.untilShared()
  })

  it('breaking every connection again and again', async () => {
    const proxy = await startFlakyProxy({ host: '127.0.0.1', port: redis.port })
    ends.push(() => proxy.close())
    const { askNew, untilShared } = await sharing(`redis://127.0.0.1:${proxy.port}`)
    for (let i = 0; i < 10; i++) {
      proxy.reset()
      await askNew(3)
    }
    await untilShared()
  })

  it('full', async () => {
    const { askNew, untilShared, nodes } = await sharing()
    await admin.run((client) => client.config('SET', 'maxmemory', '1'))
    expect(new Set(await askNew(20))).toEqual(new Set(ALONE))
    const refused = await nodes[0].revoke({ kind: 'all' })
    expect([refused.status, refused.body]).toEqual([
      503,
      { error: expect.objectContaining({ code: 'REDIS_UNAVAILABLE' }) },
    ])
    await admin.run((client) => client.config('SET', 'maxmemory', '0'))
    await untilShared()
    await until(async () => (await nodes[0].revoke({ kind: 'all' })).status === 200, 'revocations work again')
  })

  it('flushed while checks run', async () => {
    const { askNew, untilShared } = await sharing()
    for (let i = 0; i < 5; i++) {
      const asking = askNew(5)
      await admin.run((client) => client.flushall())
      await asking
    }
    await untilShared()
  })

  it('read-only, as an old master is after a failover', async () => {
    const { askNew, untilShared } = await sharing()
    const other = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] })
    ends.push(() => other.stop())
    await admin.run((client) => client.replicaof('127.0.0.1', other.port))
    expect(await askNew(20)).toEqual(expect.not.arrayContaining(['mesh']))
    await admin.run((client) => client.replicaof('NO', 'ONE'))
    await untilShared()
  })
})

describe('what is found in Redis is not believed:', () => {
  it.each<[string, (key: string) => Promise<unknown>]>([
    ['text', (key) => admin.run((client) => client.set(key, 'garbage'))],
    ['lists', (key) => admin.run(async (client) => [await client.del(key), await client.rpush(key, 'a', 'b')])],
    [
      'hashes of garbage',
      (key) =>
        admin.run(async (client) => [
          await client.del(key),
          await client.hset(key, { b: '\u0000', u: '-1', c: 'never', f: '1e999', n1: 'x' }),
        ]),
    ],
    ['bytes', (key) => admin.run((client) => client.set(key, Buffer.from([0xff, 0xfe, 0, 1])))],
  ])('all keys hold %s', async (_, spoil) => {
    const { nodes, askNew, untilShared } = await sharing(redis.url, LOCAL_OFF)
    await askNew(10)
    await until(async () => (await keys('intermix:*:v')).length >= 10, 'verdicts are stored')
    const all = [...(await keys('intermix:*')), ...(await keys('{intermix:*'))]
    for (const key of all) await spoil(key)
    // Leases too: nobody holds these, so nobody may wait for them.
    for (const key of all.filter((name) => name.endsWith(':v'))) await spoil(key.replace(/v$/, 'l'))
    for (let i = 1; i <= 10; i++) expect((await nodes[0].ask(`user-${i}`)).tier).toBe('backend')
    expect(await nodes[0].metric('intermix_cache_lease_waits_total')).toBe(0)
    for (let i = 1; i <= 10; i++) await nodes[1].ask(`user-${i}`)
    await until(async () => (await nodes[1].ask('user-1')).tier === 'mesh', 'a spoiled entry is replaced')
    await until(async () => (await nodes[1].revoke({ kind: 'all' })).status === 200, 'revocations work')
    await untilShared()
  })

  it('entries of another version, and verdicts under the key of another question', async () => {
    const { nodes, askNew, untilShared } = await sharing(redis.url, LOCAL_OFF)
    await askNew(10)
    await until(async () => (await keys('intermix:*:v')).length >= 10, 'verdicts are stored')
    const entries = await keys('intermix:*:v')
    const blobs = await Promise.all(entries.map((key) => admin.run((client) => client.hget(key, 'b'))))
    for (const [i, key] of entries.entries()) {
      const other = blobs[(i + 1) % blobs.length] ?? ''
      const blob = i % 2 === 0 ? other : (blobs[i] ?? '').replace('"version":1', '"version":2')
      await admin.run((client) => client.hset(key, 'b', blob))
    }
    for (let i = 1; i <= 10; i++) expect((await nodes[0].ask(`user-${i}`)).tier).toBe('backend')
    for (let i = 1; i <= 10; i++)
      await until(async () => (await nodes[1].ask(`user-${i}`)).tier === 'mesh', 'it is shared')
    await untilShared()
  })
})

describe('with Redis for verdicts and for queues apart,', () => {
  let queue: RedisServer
  beforeEach(async () => {
    queue = await startRedis({ args: ['--maxmemory-policy', 'noeviction'] })
    ends.push(() => queue.stop())
  })

  async function apart(flags: readonly string[] = []): Promise<ChaosMesh> {
    mesh = await startChaosMesh(['--cache-redis', redis.url, '--queue-redis', queue.url, ...flags])
    await mesh.untilShared()
    return mesh
  }

  it('revocations hold while the one for verdicts is gone', async () => {
    const { askNew, nodes, untilShared, backend } = await apart()
    await redis.kill()
    expect(new Set(await askNew(10))).toEqual(new Set(ALONE))
    const before = backend.count
    const { status, body } = await nodes[0].revoke({ kind: 'all' })
    expect([status, body['unconfirmed']]).toEqual([200, []])
    for (const node of nodes) expect((await node.ask('user-1')).tier).toBe('backend')
    expect(backend.count).toBe(before + 2)
    await redis.restart()
    await untilShared()
  })

  it('verdicts are shared while the one for queues is gone', async () => {
    const { nodes, untilShared } = await apart()
    await queue.kill()
    await untilShared()
    expect((await nodes[0].revoke({ kind: 'all' })).status).toBe(503)
    await queue.restart()
    await until(async () => (await nodes[0].revoke({ kind: 'all' })).status === 200, 'revocations work again')
    await untilShared()
  })

  it('no verdict older than the bound is served while revocations are out of reach, not from the mesh either', async () => {
    const { nodes, untilShared, backend } = await apart(['--partition-max-age', '0s'])
    await nodes[0].ask('user-1')
    await queue.kill()
    const inTouch = () => nodes[0].metric('intermix_revocations_in_touch')
    await until(async () => (await inTouch()) === 0, 'the node is out of touch')
    await until(async () => (await nodes[1].metric('intermix_revocations_in_touch')) === 0, 'so is the other')
    const before = backend.count
    for (let i = 0; i < 3; i++) for (const node of nodes) expect((await node.ask('user-1')).tier).toBe('backend')
    expect(backend.count).toBe(before + 6)
    await queue.restart()
    await until(async () => (await inTouch()) === 1, 'it is back in touch')
    await untilShared()
    await until(async () => (await nodes[0].ask('user-1')).tier === 'local', 'verdicts are cached again')
  })
})

describe('with Sentinel,', () => {
  async function start(): Promise<readonly [RedisSentinel, master: number]> {
    const sentinel = await startSentinel({ replicas: 1, sentinels: 1 })
    ends.push(() => sentinel.stop())
    return [sentinel, await sentinel.master()]
  }

  it('checks are answered while it fails over, and verdicts and revocations go on with the new master', async () => {
    const [sentinel, master] = await start()
    const { askNew, untilShared, nodes } = await sharing(sentinel.url)
    expect((await nodes[0].revoke({ kind: 'all' })).status).toBe(200)
    await sentinel.kill(master)
    await askNew(30)
    await sentinel.untilPromoted(master, { meanwhile: () => askNew(1) })
    await untilShared()
    await until(async () => (await nodes[0].revoke({ kind: 'all' })).status === 200, 'revocations work again', 20_000)
    expect((await nodes[1].ask('user-1')).tier).toBe('backend')
  })

  it('a master that hangs is left for the new one', async () => {
    const [sentinel, master] = await start()
    const { askNew, untilShared } = await sharing(sentinel.url)
    sentinel.pause(master)
    await sentinel.untilPromoted(master, { meanwhile: () => askNew(1) })
    await untilShared()
  })
})
