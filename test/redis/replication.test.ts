import { afterEach, describe, expect, it } from 'vitest'
import type { RedisLink } from '../../src/redis/connection.ts'
import { Replication } from '../../src/redis/replication.ts'
import { SERVER_LINE } from '../../src/redis/server-line.ts'
import { startFlakyProxy } from '../helpers/flaky-proxy.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { fixedRandom, ReadableMeter, realClock, testLink, until, untilUp } from './support.ts'

const KEY = '{intermix-test}:k'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

async function server(...args: string[]): Promise<RedisServer> {
  const redis = await startRedis({ args: ['--repl-diskless-sync-delay', '0', ...args] })
  closing.push(() => redis.stop())
  return redis
}

/** A replica that follows a server by now. */
async function replicaOf(master: RedisServer): Promise<RedisServer> {
  const replica = await server('--replicaof', `127.0.0.1 ${master.port}`)
  const own = await linkTo(replica.url)
  await until(
    async () => (await own.run((client) => client.info('replication'))).includes('master_link_status:up'),
    'the replica follows',
  )
  return replica
}

async function linkTo(url: string): Promise<RedisLink> {
  const { link } = testLink(url, 1_000)
  closing.push(() => link.close())
  await untilUp(link)
  return link
}

function replicationOver(link: RedisLink, url: string, replicas = 1) {
  const meter = new ReadableMeter()
  const ports = { clock: realClock, random: fixedRandom, meter }
  const replication = new Replication({ link, access: { url }, role: 'queue', replicas, ...ports })
  closing.push(() => replication.close())
  const set = (value: string) => replication.write(KEY, () => link.run((client) => client.set(KEY, value)))
  return { replication, meter, set }
}

async function valueIn(redis: RedisServer): Promise<string | null> {
  return await (await linkTo(redis.url)).run((client) => client.get(KEY))
}

describe('a write that counts once replicas have it', () => {
  it('is in the replica when the promise is kept', async () => {
    const master = await server()
    const replica = await replicaOf(master)
    const { set, meter } = replicationOver(await linkTo(master.url), master.url)
    const reader = await linkTo(replica.url)
    for (let i = 0; i < 20; i++) {
      expect(await (await set(`v${i}`)).replicated()).toBe('OK')
      expect(await reader.run((client) => client.get(KEY))).toBe(`v${i}`)
    }
    expect(meter.value('redis_replicated_total', 'queue', 'replicated')).toBe(20)
    expect(meter.value('redis_replicas', 'queue')).toBe(1)
  })

  it('is looked for as soon as it connects, without a false word of failure', async () => {
    const master = await server()
    await replicaOf(master)
    const { replication, meter } = replicationOver(await linkTo(master.url), master.url)
    await replication.probe(KEY)
    expect(replication.troubleOf(KEY)).toBeUndefined()
    expect(meter.value('redis_replicated_total', 'queue', 'failed')).toBe(0)
  })

  it('shares a wait with all that wait meanwhile', async () => {
    const master = await server()
    await replicaOf(master)
    const link = await linkTo(master.url)
    const { set } = replicationOver(link, master.url)
    const writes = Array.from({ length: 500 }, async (_, i) => await (await set(`v${i}`)).replicated())
    await Promise.all(writes)
    const stats = await link.run((client) => client.info('commandstats'))
    expect(Number(/cmdstat_wait:calls=(\d+)/.exec(stats)?.[1])).toBeLessThan(20)
  })

  it('is refused, with what is missing, where there is no replica, and taken again once there is one', async () => {
    const master = await server()
    const { set, replication } = replicationOver(await linkTo(master.url), master.url)
    const written = await set('v')
    await expect(written.replicated()).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
      message: '1 replica of Redis must take what it is written: it has 0',
      retryAfterMs: 1_000,
    })
    expect(replication.troubleOf(KEY)).toContain('it has 0')
    await replicaOf(master)
    await until(() => replication.troubleOf(KEY) === undefined, 'the trouble is over by itself')
    expect(await (await set('w')).replicated()).toBe('OK')
  })

  it('is refused while the replica stands still', async () => {
    const master = await server()
    const replica = await replicaOf(master)
    const { set, meter } = replicationOver(await linkTo(master.url), master.url)
    await (await set('v')).replicated()
    replica.pause()
    await expect((await set('w')).replicated()).rejects.toThrow('0 did within 1000 ms')
    expect(meter.value('redis_replicated_total', 'queue', 'too-few')).toBe(1)
    replica.resume()
    await until(async () => (await (await set('x')).replicated().catch(() => 'no')) === 'OK', 'it is taken again')
    expect(await valueIn(replica)).toBe('x')
  })

  it('is written again where another server, which never had it, took over before the proof', async () => {
    const master = await server()
    const heir = await replicaOf(master)
    const target = { host: '127.0.0.1', port: master.port }
    const proxy = await startFlakyProxy(target)
    closing.push(() => proxy.close())
    const url = `redis://127.0.0.1:${proxy.port}`
    const link = await linkTo(url)
    const { set } = replicationOver(link, url)
    await (await set('before')).replicated()
    // The heir follows no more, and does not get what is written now; another replica of the old master does.
    const heirLink = await linkTo(heir.url)
    await heirLink.run((client) => client.replicaof('NO', 'ONE'))
    await replicaOf(master)
    await replicaOf(heir)
    const written = await set('after')
    expect(await valueIn(heir)).toBe('before')
    target.port = heir.port
    proxy.reset()
    await untilUp(link)
    await written.replicated()
    expect(await valueIn(heir)).toBe('after')
  })

  it('is not taken for replicated by a server that was a replica in between', async () => {
    const [one, other] = [await server(), await server()]
    const link = await linkTo(one.url)
    const line = () => link.run((client) => SERVER_LINE.run(client, [KEY], []))
    const before = await line()
    expect(await line()).toBe(before)
    await link.run((client) => client.replicaof('127.0.0.1', other.port))
    await link.run((client) => client.replicaof('NO', 'ONE'))
    expect(await line()).not.toBe(before)
  })

  it('is told what is missing where the user may not wait', async () => {
    const master = await server()
    const link = await linkTo(master.url)
    await link.run((client) => client.acl('SETUSER', 'default', '-wait'))
    const { set, replication } = replicationOver(link, master.url)
    await expect((await set('v')).replicated()).rejects.toThrow(/NOPERM.*wait/)
    expect(replication.troubleOf(KEY)).toMatch(/NOPERM.*wait/)
  })
})
