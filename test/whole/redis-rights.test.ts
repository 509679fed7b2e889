// A user of Redis that lacks a right: nothing waits for it in silence.
import { Redis } from 'ioredis'
import { afterEach, describe, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { until } from '../redis/support.ts'
import { type Intermix, startIntermix } from './intermix.ts'

const QUICKSTART = 'examples/quickstart'
const ends: (() => Promise<unknown> | undefined)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function redisWith(...user: string[]): Promise<{ redis: RedisServer; admin: Redis; url: string }> {
  const redis = await startRedis({ args: ['--user', 'app', 'on', '>pass', '&*', ...user] })
  const admin = new Redis(redis.port, '127.0.0.1')
  ends.push(
    () => redis.stop(),
    async () => admin.disconnect(),
  )
  return { redis, admin, url: `redis://app:pass@127.0.0.1:${redis.port}` }
}

async function start(role: 'node' | 'worker', url: string, ...flags: string[]): Promise<Intermix> {
  const running = await startIntermix({ role, config: QUICKSTART, nodeId: role, flags: ['--redis', url, ...flags] })
  ends.push(() => running.child.stop())
  return running
}

const readiness = async ({ adminUrl }: Intermix) => await (await fetch(`${adminUrl}/readyz`)).text()

async function report({ httpPort }: Intermix): Promise<number> {
  const body = JSON.stringify({ records: [{ 'request.path': '/' }] })
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(`http://127.0.0.1:${httpPort}/v1/report`, { method: 'POST', headers, body })
  await answer.arrayBuffer()
  return answer.status
}

describe('a user of Redis without', () => {
  it.each([
    ['EVALSHA', ['~*', '+@all', '-evalsha'], 'its user app may not run EVALSHA: ACL SETUSER app +evalsha', '+evalsha'],
    [
      'the keys of reports',
      ['~{intermix-l*', '~{intermix-p*', '~{intermix:*', '~intermix:*', '+@all'],
      'may not use keys {intermix-reports',
      '~{intermix-reports*',
    ],
  ])(
    '%s: reports that are promised are refused, it is said why, and they go on once it has the right',
    async (_name, user, words, right) => {
      const { admin, url } = await redisWith(...user)
      const node = await start('node', url, '--report-ack', 'queued')
      await until(async () => (await report(node)) === 503, 'a report is refused')
      await until(async () => (await readiness(node)).includes(words), `readiness says: ${words}`)
      const lines = () =>
        node.child
          .output()
          .split('\n')
          .filter((line) => line.includes(words))
      expect(lines()).not.toEqual([])
      expect(lines().length).toBeLessThan(5)
      await admin.call('ACL', 'SETUSER', 'app', right)
      await until(async () => (await report(node)) === 202, 'a report is accepted')
    },
  )

  it('BZPOPMIN: a worker takes nothing, says so, and takes again once it has the right', async () => {
    const { admin, url } = await redisWith('~*', '+@all', '-bzpopmin')
    const worker = await start('worker', url)
    const words = 'its user app may not run BZPOPMIN'
    await until(async () => (await readiness(worker)).includes(words), `readiness says: ${words}`)
    const denied = async () =>
      Number(/cmdstat_bzpopmin:.*rejected_calls=(\d+)/.exec(await admin.info('commandstats'))?.[1] ?? 0)
    const before = await denied()
    await until(async () => (await denied()) > before, 'it tries again')
    await admin.call('ACL', 'SETUSER', 'app', '+bzpopmin')
    const taken = async () => (await admin.info('commandstats')).match(/cmdstat_bzpopmin:calls=(\d+)/)?.[1] ?? '0'
    const calls = Number(await taken())
    await until(async () => Number(await taken()) > calls, 'it takes again')
  })
})
