import { Cluster, Redis } from 'ioredis'
import { afterEach, describe, expect, it } from 'vitest'
import { until } from '../redis/support.ts'
import { type RedisCluster, startCluster } from './redis-cluster.ts'
import { type RedisSentinel, startSentinel } from './redis-sentinel.ts'
import { toolOrSkip } from './tools.ts'

const binary = toolOrSkip('redis-server')
const KEYS = 300

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function startWith(options: Parameters<typeof startCluster>[0]): Promise<RedisCluster> {
  const cluster = await startCluster(options)
  ends.push(() => cluster.stop())
  const nodes = cluster.ports.map((port) => ({ host: '127.0.0.1', port }))
  const client = new Cluster(nodes, { redisOptions: { password: options?.password ?? '' } })
  client.on('error', () => undefined)
  ends.push(async () => client.disconnect())
  for (let i = 0; i < KEYS; i++) await client.set(`key-${i}`, String(i))
  return cluster
}

/** Asks the servers: a client may still wait for one that is paused. */
async function readAll(cluster: RedisCluster): Promise<void> {
  for (let i = 0; i < KEYS; i++) {
    const key = `key-${i}`
    expect(await cluster.ask(await cluster.ownerOf(key), 'GET', key)).toBe(String(i))
  }
}

describe.skipIf(binary === undefined)('the Redis cluster of a test', () => {
  it('moves slots with what is in them', async () => {
    const cluster = await startWith({ replicas: 0, password: 'pass' })
    const [from = 0, to = 0] = await cluster.masters()
    await cluster.moveSlots(from, to, 500)
    await cluster.untilOk()
    await readAll(cluster)
    expect(Number(await cluster.ask(from, 'DBSIZE'))).toBeLessThan(Number(await cluster.ask(to, 'DBSIZE')))
  })

  it('fails over by hand, after a kill and after a pause, and takes back who was away', async () => {
    const cluster = await startWith({})
    const [first = 0, second = 0, third = 0] = await cluster.masters()
    const promoted = await cluster.failover(first)
    expect(await cluster.replicasOf(promoted)).toEqual([first])
    await cluster.kill(second)
    await until(async () => !(await cluster.masters()).includes(second), 'a replica of the killed one', 30_000)
    // Before, there are too few masters to elect another one.
    await cluster.untilOk()
    cluster.pause(third)
    await until(async () => !(await cluster.masters()).includes(third), 'a replica of the paused one', 30_000)
    await cluster.untilOk()
    await readAll(cluster)
    cluster.resume(third)
    await cluster.restart(second)
    await cluster.untilOk()
    expect(await cluster.masters()).toEqual(expect.not.arrayContaining([first, second, third]))
    expect(await cluster.masters()).toContain(await cluster.ownerOf('key-1'))
  })
})

describe.skipIf(binary === undefined)('the Sentinel setup of a test', () => {
  async function start(options: Parameters<typeof startSentinel>[0]): Promise<RedisSentinel> {
    const setup = await startSentinel(options)
    ends.push(() => setup.stop())
    return setup
  }

  it('fails over by hand and after a kill, with passwords of both kinds', async () => {
    const setup = await start({ password: 'pass', sentinelPassword: 'watch' })
    const sentinels = setup.sentinels.map((port) => ({ host: '127.0.0.1', port }))
    const client = new Redis({ sentinels, name: 'main', password: 'pass', sentinelPassword: 'watch' })
    client.on('error', () => undefined)
    ends.push(async () => client.disconnect())
    await client.set('key', 'value')
    const before = await setup.master()
    const second = await setup.failover()
    await setup.kill(second)
    const third = await setup.untilPromoted(second)
    expect(new Set([before, second, third]).size).toBeGreaterThan(1)
    await setup.restart(second)
    await setup.untilOk()
    expect(await setup.ask(third, 'GET', 'key')).toBe('value')
  })
})
