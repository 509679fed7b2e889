// Users with exactly the rights that `intermix redis-acl` prints: all that Intermix does is done, and nothing is refused.
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, describe, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { startCommand } from './intermix.ts'
import { startRightsWorld } from './rights-world.ts'

const PASSWORD = 'p@ss/word'
const ends: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

/** What `intermix redis-acl` prints, by name of the user. */
async function printed(args: readonly string[]): Promise<Map<string, string[]>> {
  const file = join(tmpdir(), `intermix-rights-${process.pid}`)
  await writeFile(file, `${PASSWORD}\n`)
  const child = await startCommand(['redis-acl', ...args, '--password-file', file])
  await child.exited
  const lines = child.output().trim().split('\n')
  return new Map(lines.map((line) => [line.split(' ')[2] ?? '', line.split(' ').slice(2)]))
}

/** A Redis that knows these users and an admin alone. */
async function startWith(users: Iterable<readonly string[]>): Promise<{ redis: RedisServer; admin: Redis }> {
  const redis = await startRedis({ args: ['--maxmemory-policy', 'noeviction'] })
  ends.push(() => redis.stop())
  const admin = new Redis(redis.port, '127.0.0.1')
  for (const rules of users) await admin.call('ACL', 'SETUSER', ...rules)
  await admin.call('ACL', 'SETUSER', 'default', 'resetpass', '>admin')
  await admin.auth('admin')
  ends.push(async () => admin.disconnect())
  return { redis, admin }
}

const urlOf = (redis: RedisServer, user: string) =>
  redis.url.replace('//', `//${user}:${encodeURIComponent(PASSWORD)}@`)

/** What was refused to whom: user and command, key or channel. */
async function refused(admin: Redis): Promise<string[]> {
  const entries = (await admin.call('ACL', 'LOG')) as string[][]
  return entries.map((entry) => {
    const field = (name: string) => entry[entry.indexOf(name) + 1] ?? ''
    return `${field('username')}: ${field('reason')} ${field('object')}`
  })
}

describe('users with the rights of intermix redis-acl', () => {
  it('do all that is done with one Redis, by names of their own, and nothing is refused', async () => {
    const names = ['--redis-prefix', 'shop_1', '--mesh', 'west']
    const roles = ['--roles', 'node,worker,operator,quota']
    const { redis, admin } = await startWith((await printed(['all', ...names, ...roles])).values())
    const flags = (role: string) => ['--redis', urlOf(redis, `shop_1.west-${role}`), ...names]
    const world = await startRightsWorld({
      node: flags('node'),
      worker: flags('worker'),
      operator: flags('operator'),
      quotaUrl: urlOf(redis, 'shop_1.west-quota'),
    })
    ends.push(() => world.stop())
    const failure = await world.exercise().catch((error: unknown) => error)
    // What was refused says why something was not done.
    expect(await refused(admin)).toEqual([])
    expect(failure).toBeUndefined()
  }, 120_000)
})
