import { afterEach, describe, expect, it } from 'vitest'
import type { RedisLink } from '../../src/redis/connection.ts'
import { standStill } from '../helpers/held-backend.ts'
import { freePorts } from '../helpers/ports.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { startCluster } from './cluster.ts'
import { testLink, until, untilUp } from './support.ts'

let redis: RedisServer | undefined
let link: RedisLink | undefined

afterEach(async () => {
  link?.close()
  await redis?.stop()
  redis = undefined
})

describe('a link to Redis', () => {
  it('runs commands when up', async () => {
    redis = await startRedis()
    link = testLink(redis.url).link
    await untilUp(link)
    expect(await link.run((client) => client.set('a', '1'))).toBe('OK')
  })

  it('refuses at once when there is no Redis at the start, and comes up when there is one', async () => {
    redis = await startRedis()
    await redis.kill()
    const { link: down, meter } = testLink(redis.url)
    link = down
    const started = performance.now()
    await expect(link.run((client) => client.get('a'))).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    expect(performance.now() - started).toBeLessThan(4_000)
    expect(meter.value('redis_up', 'queue')).toBe(0)
    await redis.restart()
    await untilUp(link)
    expect(await link.run((client) => client.ping())).toBe('PONG')
    expect(meter.value('redis_up', 'queue')).toBe(1)
  })

  it('tells of a Redis that is not there from the beginning', async () => {
    const [port] = await freePorts(1)
    const { link: lonely, meter } = testLink(`redis://127.0.0.1:${port}`)
    link = lonely
    await new Promise<void>((resolve) => lonely.onDown(resolve))
    expect(lonely.state()).toBe('down')
    expect(meter.value('redis_up', 'queue')).toBe(0)
  })

  it('bounds each call of a paused Redis, opens the breaker, and recovers by its own probe', async () => {
    redis = await startRedis()
    const { link: slow, meter } = testLink(redis.url, 20)
    link = slow
    await untilUp(link)
    redis.pause()
    // On a busy machine a call or two may not count, because this process did not listen.
    for (let calls = 0; slow.state() === 'up' || calls < 5; calls++) {
      const started = performance.now()
      await expect(slow.run((client) => client.get('a'))).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
      expect(performance.now() - started).toBeLessThan(5_000)
    }
    expect(slow.state()).toBe('down')
    await expect(slow.run((client) => client.get('a'))).rejects.toThrow('not reachable')
    expect(meter.value('redis_calls_total', 'queue', 'refused')).toBe(1)
    redis.resume()
    await untilUp(slow)
    expect(await slow.run((client) => client.ping())).toBe('PONG')
  })

  it('does not take many failures of one moment for a Redis that is down', async () => {
    redis = await startRedis()
    const { link: own, log, meter } = testLink(redis.url, 500)
    link = own
    await untilUp(own)
    const timeouts = () => meter.value('redis_calls_total', 'queue', 'timeout')
    redis.pause()
    // Those of a moment at which a busy machine did not let this process listen do not count.
    while (timeouts() < 5) {
      const asked = Array.from({ length: 8 }, () =>
        own.run((client) => client.get('a')).catch((error: unknown) => error),
      )
      await Promise.all(asked)
    }
    redis.resume()
    // The probe that decides was sent when the first failed; Redis answers it now.
    await until(
      async () => (await own.run((client) => client.get('a')).catch(() => 'failed')) !== 'failed',
      'an answer',
    )
    expect(own.state()).toBe('up')
    expect(log.lines.filter((line) => line.includes('down'))).toEqual([])
  })

  it('takes the answers that came while this process stood still, and stays up', async () => {
    redis = await startRedis()
    const { link: own, log } = testLink(redis.url, 300)
    link = own
    await untilUp(own)
    await own.run((client) => client.set('a', '1'))
    const asked = Array.from({ length: 6 }, () => own.run((client) => client.get('a')))
    standStill(600)
    expect(await Promise.all(asked)).toEqual(Array.from({ length: 6 }, () => '1'))
    expect(own.state()).toBe('up')
    expect(log.lines.filter((line) => line.includes('down'))).toEqual([])
  })

  it('does not hold against Redis what this process did not listen to', async () => {
    redis = await startRedis()
    const { link: own, log, meter } = testLink(redis.url, 300)
    link = own
    await untilUp(own)
    redis.pause()
    const asked = Array.from({ length: 6 }, () => own.run((client) => client.get('a')).catch((error: unknown) => error))
    await new Promise((sent) => setImmediate(sent))
    standStill(600)
    for (const error of await Promise.all(asked)) expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    expect(own.state()).toBe('up')
    expect(meter.value('redis_calls_total', 'queue', 'stalled')).toBe(6)
    expect(log.lines.filter((line) => line.includes('down'))).toEqual([])
    redis.resume()
  })

  it('says why Redis cannot be used', async () => {
    redis = await startRedis()
    const admin = testLink(redis.url).link
    await untilUp(admin)
    await admin.run((client) => client.config('SET', 'requirepass', 'secret'))
    admin.close()
    const { link: own, log } = testLink(redis.url)
    link = own
    await until(() => log.lines.length > 0, 'a line is there')
    expect(log.lines[0]).toMatch(/^warn Redis is down.*NOAUTH/)
  })

  it('says with which words Redis refused it', async () => {
    redis = await startRedis({ args: ['--maxclients', '1'] })
    const first = testLink(redis.url).link
    await untilUp(first)
    const { link: own, log } = testLink(redis.url)
    link = own
    const told = () => log.lines.some((line) => line.includes('ERR max number of clients reached'))
    await until(told, 'the refusal is told')
    expect(log.lines.length).toBeLessThanOrEqual(2)
    first.close()
    await untilUp(own)
  })

  it('rejects what is in flight when Redis dies, and reconnects', async () => {
    redis = await startRedis()
    const dying = testLink(redis.url, 5000).link
    link = dying
    await untilUp(link)
    redis.pause()
    const pending = expect(dying.run((client) => client.get('a'))).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    await redis.kill()
    await pending
    await until(() => dying.state() === 'down', 'the link goes down')
    await redis.restart()
    await untilUp(dying)
  })

  it('passes on error replies and does not open the breaker for them', async () => {
    redis = await startRedis()
    const up = testLink(redis.url, 200).link
    link = up
    await untilUp(up)
    await up.run((client) => client.set('text', 'a'))
    for (let i = 0; i < 8; i++) {
      await expect(up.run((client) => client.incr('text'))).rejects.toMatchObject({ name: 'ReplyError' })
    }
    expect(up.state()).toBe('up')
  })

  it('rejects calls in flight when it is closed', async () => {
    redis = await startRedis()
    const { link: closing, log } = testLink(redis.url, 5000)
    await untilUp(closing)
    redis.pause()
    const pending = expect(closing.run((client) => client.get('a'))).rejects.toThrow('closed')
    closing.close()
    closing.close()
    await pending
    redis.resume()
    expect(log.lines.filter((line) => line.startsWith('error'))).toEqual([])
  })

  it('signs in over a URL with an ACL user', async () => {
    redis = await startRedis({
      args: ['--user', 'app', 'on', '>p@ss', '~*', '&*', '+@all', '--user', 'default', 'off'],
    })
    const signedIn = testLink(`redis://app:p%40ss@127.0.0.1:${redis.port}/2`, 500).link
    link = signedIn
    await untilUp(signedIn)
    expect(await signedIn.run((client) => client.acl('WHOAMI'))).toBe('app')
  })
})

describe('a link to a Redis cluster', () => {
  it('finds the node of a key', async () => {
    redis = await startCluster()
    const cluster = testLink(`redis+cluster://127.0.0.1:${redis.port}`, 2000).link
    link = cluster
    await untilUp(cluster)
    expect(await cluster.run((client) => client.set('{a}x', '1'))).toBe('OK')
    expect(await cluster.run((client) => client.get('{a}x'))).toBe('1')
  })
})
