import { Queue, QueueEvents, Worker } from 'bullmq'
import { afterEach, describe, expect, it } from 'vitest'
import { createRedisClient } from '../../src/redis/create-client.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { freePort } from '../helpers/ports.ts'
import { type RedisSentinel, startSentinel } from '../helpers/redis-sentinel.ts'
import { testLink, until, untilUp } from './support.ts'

let sentinel: RedisSentinel | undefined
const ends: (() => void | Promise<unknown>)[] = []

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
  await sentinel?.stop()
})

async function connected(url: string): Promise<RedisLink> {
  const { link } = testLink(url, 1000)
  ends.push(() => link.close())
  await untilUp(link)
  return link
}

/** All connections that BullMQ has, and that it makes of one that it is given. */
async function bullmq(url: string): Promise<void> {
  const connection = createRedisClient(
    { url },
    { maxRetriesPerRequest: null, enableOfflineQueue: true, autoResendUnfulfilledCommands: true },
  )
  connection.on('error', () => undefined)
  const queue = new Queue('q', { connection })
  const worker = new Worker('q', async () => undefined, { connection })
  const events = new QueueEvents('q', { connection })
  queue.on('error', () => undefined)
  worker.on('error', () => undefined)
  events.on('error', () => undefined)
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady(), events.waitUntilReady()])
  ends.push(
    () => connection.disconnect(),
    () => Promise.all([worker.close(true), events.close(), queue.close()]),
  )
}

/** How many connections a server has of us: not of sentinels, replicas, or this question. */
async function connectionsTo(setup: RedisSentinel, port: number): Promise<number> {
  const list = String(await setup.ask(port, 'CLIENT', 'LIST', 'TYPE', 'NORMAL').catch(() => ''))
  const pubsub = String(await setup.ask(port, 'CLIENT', 'LIST', 'TYPE', 'PUBSUB').catch(() => ''))
  const lines = [...list.split('\n'), ...pubsub.split('\n')]
  return lines.filter((line) => line !== '' && !/ name=sentinel-| cmd=client\|list /.test(line)).length
}

/** Connections that listen to a sentinel for us; sentinels listen to each other by a pattern. */
async function listeners(setup: RedisSentinel): Promise<readonly number[]> {
  const lists = setup.sentinels.map((port) => setup.ask(port, 'CLIENT', 'LIST'))
  return (await Promise.all(lists)).map((list) => String(list).match(/ sub=1 /g)?.length ?? 0)
}

describe('a link through Sentinel', () => {
  it('finds the master by its name, trying one sentinel after the other', async () => {
    sentinel = await startSentinel({ replicas: 1, sentinels: 1 })
    const nobody = await freePort()
    const link = await connected(sentinel.url.replace('//', `//127.0.0.1:${nobody},`).replace('/main', '/main/3'))
    expect(await link.run((client) => client.set('a', '1'))).toBe('OK')
    const direct = await connected(`redis://127.0.0.1:${await sentinel.master()}/3`)
    expect(await direct.run((client) => client.get('a'))).toBe('1')
  })

  it('asks the next sentinel where one stands still, and goes on without a word of each of a thousand', async () => {
    const setup = await startSentinel({ replicas: 0, sentinels: 2 })
    sentinel = setup
    const [first = 0] = setup.sentinels
    setup.pause(first)
    ends.push(() => setup.resume(first))
    const link = await connected(setup.url)
    expect(await link.run((client) => client.set('a', '1'))).toBe('OK')
    const nobody = await freePort()
    const hosts = Array.from({ length: 1_000 }, (_, i) => `127.0.${Math.floor(i / 250)}.${(i % 250) + 1}:${nobody}`)
    const { link: lost } = testLink(`redis+sentinel://${hosts.join(',')}/main`, 1000)
    ends.push(() => lost.close())
    await until(() => lost.reason()?.includes('and 995 more') === true, 'all were asked')
    expect(lost.reason()?.length).toBeLessThan(1_000)
  })

  it('stays with the master whose address the sentinels write in another way', async () => {
    sentinel = await startSentinel({ replicas: 0, sentinels: 1 })
    const [port = 0] = sentinel.sentinels
    const master = String(await sentinel.master())
    await sentinel.ask(port, 'SENTINEL', 'REMOVE', 'main')
    await sentinel.ask(port, 'SENTINEL', 'MONITOR', 'main', '::ffff:127.0.0.1', master, '1')
    const { link, log } = testLink(sentinel.url, 1000)
    ends.push(() => link.close())
    await untilUp(link)
    const watch = sentinel
    const asked = async () => / sub=1 .* cmd=sentinel\|master /.test(String(await watch.ask(port, 'CLIENT', 'LIST')))
    await until(asked, 'the sentinel was asked for the master')
    // Its answer has come by the time of another one.
    await watch.ask(port, 'PING')
    await link.run((client) => client.set('a', '1')).catch(() => undefined)
    expect(log.lines).toHaveLength(1)
    expect(await link.run((client) => client.set('a', '1'))).toBe('OK')
  })

  it.each(['by hand', 'since its master stands still', 'since its master is killed'])(
    'is with the new master soon after a failover %s, as are all connections of BullMQ',
    async (how) => {
      const setup = await startSentinel()
      sentinel = setup
      const links = [await connected(setup.url), await connected(setup.url)]
      await bullmq(setup.url)
      const old = await setup.master()
      const all = await connectionsTo(setup, old)
      expect(all).toBe(2 + 3)
      if (how === 'by hand') await setup.failover()
      else {
        if (how.includes('stands')) setup.pause(old)
        else await setup.kill(old)
        await setup.untilPromoted(old)
      }
      const promoted = await setup.master()
      const moved = async () => (await connectionsTo(setup, promoted)) >= all
      await until(moved, 'all connections lead to the new master')
      for (const link of links) {
        await untilUp(link)
        expect(await link.run((client) => client.set('a', '1'))).toBe('OK')
      }
      if (how.includes('by hand')) expect(await listeners(setup)).toEqual([1, 1, 1])
      if (how.includes('stands')) setup.resume(old)
      if (how.includes('killed')) return
      await until(async () => (await connectionsTo(setup, old)) === 0, 'nothing is left with the old master')
      for (const end of ends.splice(0).toReversed()) await end()
      await until(async () => (await listeners(setup)).every((count) => count === 0), 'no sentinel is listened to')
    },
  )
})
