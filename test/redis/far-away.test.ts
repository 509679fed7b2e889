// A Redis that answers, but later than calls may take: the link says so, and which setting gives it more time.

import { afterAll, beforeAll, expect, it } from 'vitest'
import type { RedisLink } from '../../src/redis/connection.ts'
import { type FlakyProxy, startFlakyProxy } from '../helpers/flaky-proxy.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { connectTo, until, untilUp } from './support.ts'

let redis: RedisServer
let far: FlakyProxy
const links: RedisLink[] = []

beforeAll(async () => {
  redis = await startRedis({ args: ['--maxmemory', '0'] })
  far = await startFlakyProxy({ host: '127.0.0.1', port: redis.port })
  far.setLatency(40)
})
afterAll(async () => {
  for (const link of links) link.close()
  await far.close()
  await redis.stop()
})

async function askedInVain(role: 'cache' | 'queue', commandTimeoutMs: number): Promise<string> {
  const connected = connectTo(
    { url: `redis://127.0.0.1:${far.port}` },
    { role, commandTimeoutMs, probeKeys: () => ['a'] },
  )
  const { link, log } = connected
  links.push(link)
  await untilUp(link)
  await until(() => {
    void link.run((client) => client.get('a')).catch(() => undefined)
    return link.state() === 'down'
  }, 'it is taken for lost')
  expect(log.lines.join('\n')).toContain(String(link.reason()))
  return link.reason() ?? ''
}

it.each([
  ['cache', '--redis-timeout'],
  ['queue', '--queue-redis-timeout'],
] as const)('a %s that is 80 ms away, where 50 ms are allowed, tells of %s', async (role, setting) => {
  const reason = await askedInVain(role, 50)
  expect(reason).toMatch(/^it answers after \d+ ms at best, not within 50 ms: allow several times as much with --/)
  expect(reason.endsWith(` ${setting}`)).toBe(true)
})

it('one that is 80 ms away is used where 500 ms are allowed', async () => {
  const { link } = connectTo(
    { url: `redis://127.0.0.1:${far.port}` },
    { commandTimeoutMs: 500, probeKeys: () => ['a'] },
  )
  links.push(link)
  await untilUp(link)
  await Promise.all(Array.from({ length: 20 }, () => link.run((client) => client.get('a'))))
  expect(link.state()).toBe('up')
})

it('one that never answers is said to be busy', async () => {
  const { link } = connectTo({ url: redis.url }, { role: 'queue', commandTimeoutMs: 50, probeKeys: () => ['a'] })
  links.push(link)
  await untilUp(link)
  redis.pause()
  try {
    await until(() => {
      void link.run((client) => client.get('a')).catch(() => undefined)
      return link.state() === 'down'
    }, 'it is taken for lost')
    expect(link.reason()).toMatch(/^it does not answer within 50 ms: .*--queue-redis-timeout$/)
  } finally {
    redis.resume()
  }
})
