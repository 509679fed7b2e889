// What a link takes for a Redis that can be used, and what it says of one that refuses a part.

import { describe, expect, it, onTestFinished } from 'vitest'
import type { RedisLink } from '../../src/redis/connection.ts'
import { redisTrouble } from '../../src/redis/trouble.ts'
import { freePort } from '../helpers/ports.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { startCluster } from '../helpers/redis-cluster.ts'
import { connectTo, type TestLink, testLink, until, untilUp } from './support.ts'

async function redisWith(...args: string[]): Promise<{ redis: RedisServer; admin: RedisLink }> {
  const redis = await startRedis({ args })
  const { link: admin } = testLink(redis.url)
  await untilUp(admin)
  onTestFinished(async () => {
    admin.close()
    await redis.stop()
  })
  return { redis, admin }
}

async function connected(url: string, keys: readonly string[] = ['{a}:probe']): Promise<TestLink> {
  const made = connectTo({ url }, { probeKeys: () => keys })
  onTestFinished(() => made.link.close())
  await untilUp(made.link)
  return made
}

const failureOf = (call: Promise<unknown>) =>
  call.then(
    () => undefined,
    (error: unknown) => error,
  )

describe('a Redis that refuses its user something', () => {
  const USER = ['--user', 'app', 'on', '>pass', '~a*', '~{a}*', 'resetchannels', '+@all', '-evalsha', '-lpush']

  it('is up, and what is refused counts as out of reach, is named once, and stands in the reason', async () => {
    const { redis } = await redisWith(...USER)
    const { link, log, meter } = await connected(`redis://app:pass@127.0.0.1:${redis.port}`)
    expect(link.reason()).toBeUndefined()
    for (const [call, words] of [
      [
        () => link.run((client) => client.evalsha('0'.repeat(40), 1, 'a1')),
        'its user app may not run EVALSHA: ACL SETUSER app +evalsha',
      ],
      [
        () => link.run((client) => client.set('b:x{1}', '1')),
        'its user app may not use keys b:*: ACL SETUSER app ~b:*',
      ],
      [
        () => link.run((client) => client.eval("return redis.call('set', KEYS[1], '1')", 1, '{c}1')),
        'its user app may not use keys {c}*: ACL SETUSER app ~{c}*',
      ],
      [
        () => link.run((client) => client.publish('news:1', 'x')),
        'its user app may not use channel news:*: ACL SETUSER app &news:*',
      ],
      [
        () => link.run((client) => client.eval("return redis.call('lpush', KEYS[1], '1')", 1, 'a')),
        'its user app may not run a command of a script that it may run: ACL LOG names it',
      ],
    ] as const) {
      for (let times = 0; times < 8; times++) {
        const error = await failureOf(call())
        expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE', message: 'Redis does not allow it to its user' })
        expect(redisTrouble(error)).toBe('away')
      }
      expect(link.reason()).toContain(words)
      expect(log.lines.filter((line) => line.includes(words))).toHaveLength(1)
    }
    expect(link.state()).toBe('up')
    expect(meter.value('redis_up', 'queue')).toBe(1)
    expect(await link.run((client) => client.set('a', '1'))).toBe('OK')
  })

  it('is up where the write of the probe is what is refused', async () => {
    const { redis } = await redisWith('--user', 'app', 'on', '>pass', '~a*', '+@all', '-ping', '-info')
    const { link } = await connected(`redis://app:pass@127.0.0.1:${redis.port}`, ['b:probe'])
    expect(link.reason()).toContain('~b:*')
  })

  it('takes an other client of the same user into account', async () => {
    const { redis } = await redisWith(...USER)
    const { link } = await connected(`redis://app:pass@127.0.0.1:${redis.port}`)
    const reply = Object.assign(new Error("NOPERM this user has no permissions to run the 'bzpopmin' command"), {
      name: 'ReplyError',
    })
    link.heed(reply)
    link.heed(new Error('something else'))
    expect(link.reason()).toBe('its user app may not run BZPOPMIN: ACL SETUSER app +bzpopmin')
  })
})

describe('a Redis that takes no writes', () => {
  it('is up when it lacks memory, and says so', async () => {
    const { redis, admin } = await redisWith()
    const { link, log } = await connected(redis.url)
    await admin.run((client) => client.config('SET', 'maxmemory', '1'))
    for (let times = 0; times < 8; times++) {
      const error = await failureOf(link.run((client) => client.set('a', '1')))
      expect(error).toMatchObject({ name: 'ReplyError', message: expect.stringMatching(/^OOM/) })
    }
    expect(link.state()).toBe('up')
    expect(link.reason()).toBe('its memory is full and it takes no writes: raise its maxmemory')
    expect(log.lines.filter((line) => line.startsWith('warn'))).toHaveLength(1)
    expect(await link.run((client) => client.get('a'))).toBeNull()
  })

  it('is down as long as it is a replica, without coming and going', async () => {
    const { redis, admin } = await redisWith()
    const { link, log, meter } = await connected(redis.url)
    const nobody = await freePort()
    await admin.run((client) => client.replicaof('127.0.0.1', nobody))
    const write = () => failureOf(link.run((client) => client.set('a', '1')))
    await until(async () => {
      await write()
      return link.state() === 'down'
    }, 'it is down')
    expect(link.reason()).toMatch(/it is a replica and takes no writes/)
    // Several probes, and a new connection, which a replica takes.
    await admin.run((client) => client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'))
    const since = performance.now()
    await until(() => performance.now() - since > 3_000, 'some seconds are over')
    expect(link.state()).toBe('down')
    expect(meter.value('redis_state_changes_total', 'queue', 'down')).toBe(1)
    expect(log.lines.filter((line) => line.includes('is up'))).toHaveLength(1)
    await admin.run((client) => client.replicaof('NO', 'ONE'))
    await untilUp(link)
    expect(await link.run((client) => client.set('a', '1'))).toBe('OK')
  })
})

describe('a cluster', () => {
  it('of which a part is away is up and says so, and forgets it when a replica has taken over', async () => {
    const cluster = await startCluster({ masters: 3, replicas: 1 })
    onTestFinished(() => cluster.stop())
    const keys = ['{a}:probe', '{b}:probe', '{c}:probe', '{d}:probe', '{e}:probe']
    const { link, log } = await connected(cluster.url, keys)
    expect(link.reason()).toBeUndefined()
    const owner = await cluster.ownerOf('{a}:probe')
    cluster.pause(owner)
    await until(async () => {
      await failureOf(link.run((client) => client.set('{a}x', '1'), 100))
      return link.reason() !== undefined
    }, 'it is said that a part is away')
    expect(link.reason()).toMatch(/^a part of the cluster is out of use: it does not answer within/)
    expect(link.state()).toBe('up')
    await until(() => link.reason() === undefined, 'a replica has taken over', 20_000)
    expect(await link.run((client) => client.set('{a}x', '1'), 1_000)).toBe('OK')
    expect(log.lines.some((line) => line.startsWith('warn Redis is down'))).toBe(false)
    cluster.resume(owner)
  })
})
