import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RedisLink } from '../../src/redis/connection.ts'
import { queueNames } from '../../src/telemetry/queue-names.ts'
import { QueueShards, shardsSaid } from '../../src/telemetry/queue-shards.ts'
import { FakeClock } from '../helpers/clock.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { testLink, until, untilUp } from '../redis/support.ts'

const MINUTE_MS = 60_000

let redis: RedisServer
let link: RedisLink
let clock: FakeClock

beforeEach(async () => {
  redis = await startRedis()
  link = testLink(redis.url).link
  clock = new FakeClock()
  await untilUp(link)
})

afterEach(async () => {
  link.close()
  await redis.stop()
})

const shards = (own?: number) => new QueueShards({ link, clock, own })
const empty = () => Promise.resolve(true)

describe('how many shards queues have', () => {
  it('is one beside a single server, and nobody speaks of it', async () => {
    const alone = shards()
    expect(alone.own).toBe(1)
    expect(alone.say()).toBeUndefined()
    expect(await link.run((client) => client.exists(queueNames().shards))).toBe(0)
  })

  it('is said before the first add, and known to others at their next look', async () => {
    const [node, worker] = [shards(6), shards(2)]
    const heard: number[] = []
    worker.onChange(() => heard.push(worker.known))
    await node.say()
    expect(node.say()).toBeUndefined()
    expect(await shardsSaid(link, queueNames())).toBe(6)
    await worker.look()
    await worker.look()
    expect(heard).toEqual([6])
    expect(worker.own).toBe(2)
  })

  it('falls only once nobody has used more for long, and nothing lies there', async () => {
    const worker = shards(2)
    await shards(6).say()
    await worker.look(empty)
    await clock.advance(9 * MINUTE_MS)
    await worker.look(empty)
    expect(worker.known).toBe(6)
    await clock.advance(2 * MINUTE_MS)
    const asked: number[][] = []
    await worker.look((...range) => {
      asked.push(range)
      return Promise.resolve(false)
    })
    expect(asked).toEqual([[2, 6]])
    expect(worker.known).toBe(6)
    await worker.look(empty)
    expect(worker.known).toBe(2)
    expect(await shardsSaid(link, queueNames())).toBe(1)
  })

  it('stays as long as somebody adds, and is said again after a while without an add', async () => {
    const [node, worker] = [shards(6), shards(2)]
    await node.say()
    for (let minute = 0; minute < 20; minute++) {
      await clock.advance(2 * MINUTE_MS)
      await node.say()
      await worker.look(empty)
      expect(worker.known).toBe(6)
    }
    await clock.advance(6 * MINUTE_MS)
    const saying = node.say()
    expect(saying).toBeInstanceOf(Promise)
    await saying
  })

  it('is said again to a Redis that has come back, which may have forgotten it', async () => {
    const node = shards(6)
    await node.say()
    await redis.kill()
    await until(() => link.state() === 'down', 'the link is down')
    await redis.restart()
    await untilUp(link)
    await node.say()
    expect(await shardsSaid(link, queueNames())).toBe(6)
  })

  it('is not believed where it makes no sense', async () => {
    const key = queueNames().shards
    await link.run((client) => client.zadd(key, '1', 'many', '1', '-3', '1', '1e9', '1', '4'))
    expect(await shardsSaid(link, queueNames())).toBe(4)
  })
})
