// Nodes that tell each other that they are there, over a real Redis.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { MemberBeats, memberKeys } from '../../src/redis/member-beats.ts'
import { FakeClock } from '../helpers/clock.ts'
import { sharedRedis } from './shared-redis.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 5_000, emptied: true })
const PREFIX = 'test'

describe('the nodes of a mesh', () => {
  const beats: MemberBeats[] = []
  let clock: FakeClock
  let isAway: boolean

  const wire = (): RedisLink =>
    Object.assign(Object.create(link) as RedisLink, {
      run: async (...args: Parameters<RedisLink['run']>) => {
        if (isAway) throw new IntermixError('REDIS_UNAVAILABLE', 'away')
        return await link.run(...args)
      },
    })

  function joined(address: string): MemberBeats {
    const made = new MemberBeats({ link: wire(), clock, prefix: PREFIX, address })
    beats.push(made)
    made.start()
    return made
  }

  /** Lets time pass until it is so. */
  const settles = (seen: () => unknown) =>
    expect.poll(async () => {
      await clock.advance(2_000)
      return seen()
    })

  beforeEach(() => {
    clock = new FakeClock()
    isAway = false
  })

  afterEach(async () => {
    for (const made of beats.splice(0)) made.stop()
    await link.run((client) => client.ping())
  })

  it('see each other, and who goes', async () => {
    const [one, two] = [joined('10.0.0.1:9091'), joined('10.0.0.2:9091')]
    const both = { nodes: ['10.0.0.1:9091', '10.0.0.2:9091'], leaving: [] }
    await settles(() => [one.members(), two.members()]).toEqual([both, both])
    let changes = 0
    one.onChange(() => changes++)
    const before = one.members()
    await clock.advance(4_000)
    expect(one.members()).toBe(before)
    two.leave()
    await settles(() => one.members()).toEqual({ ...both, leaving: ['10.0.0.2:9091'] })
    two.stop()
    await settles(() => one.members()).toEqual({ nodes: ['10.0.0.1:9091'], leaving: [] })
    expect(changes).toBe(2)
  })

  it('lose one that is not heard', async () => {
    const one = joined('10.0.0.1:9091')
    const [heard = ''] = memberKeys(PREFIX)
    const [seconds] = await link.run((client) => client.time())
    await link.run((client) =>
      client.zadd(heard, `${Number(seconds) - 5}000`, 'old:1', `${Number(seconds) - 7}000`, 'dead:1'),
    )
    await settles(() => one.members()?.nodes).toEqual(['10.0.0.1:9091', 'old:1'])
    await link.run((client) => client.zadd(heard, `${Number(seconds) - 7}000`, 'old:1'))
    await settles(() => one.members()?.nodes).toEqual(['10.0.0.1:9091'])
  })

  it('are those of the last look while Redis is away, and again what is there when it has come back with nothing', async () => {
    const [one, two] = [joined('10.0.0.1:9091'), joined('10.0.0.2:9091')]
    await settles(() => one.members()?.nodes.length).toBe(2)
    isAway = true
    await clock.advance(60_000)
    expect(one.members()?.nodes).toHaveLength(2)
    await link.run((client) => client.flushdb())
    isAway = false
    await settles(() => [one.members()?.nodes.length, two.members()?.nodes.length]).toEqual([2, 2])
  })
})
