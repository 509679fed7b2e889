// Users with exactly the rights that `intermix redis-acl` prints: all that Intermix does is done, and nothing is refused.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startRedis } from '../helpers/redis.ts'
import { startCluster } from '../helpers/redis-cluster.ts'
import { startSentinel } from '../helpers/redis-sentinel.ts'
import { startCommand } from './intermix.ts'
import { startRightsWorld } from './rights-world.ts'

const PASSWORD = 'p@ss/word'
const CREDENTIALS = encodeURIComponent(PASSWORD)
/** What the fleets' default user, which their own processes sign in as, has. */
const ADMIN = 'admin'

let folder = ''
let passwordFile = ''
const ends: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'intermix-rights-'))
  passwordFile = join(folder, 'password')
  await writeFile(passwordFile, `${PASSWORD}\n`)
})
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** A command to a server, as its admin. */
type Ask = (name: string, ...args: string[]) => Promise<unknown>

/** Makes the users that `intermix redis-acl` prints. */
async function makeUsers(servers: readonly Ask[], args: readonly string[]): Promise<void> {
  const child = await startCommand(['redis-acl', ...args, '--password-file', passwordFile])
  expect(await child.exited).toMatchObject({ code: 0 })
  const lines = child.output().trim().split('\n')
  for (const ask of servers) for (const line of lines) await ask('ACL', ...line.split(' ').slice(1))
}

/** What was refused to whom: user and command, key or channel. */
async function refused(servers: readonly Ask[]): Promise<string[]> {
  const found = await Promise.all(servers.map((ask) => ask('ACL', 'LOG')))
  return (found as string[][][]).flat().map((entry) => {
    const field = (name: string) => entry[entry.indexOf(name) + 1] ?? ''
    return `${field('username')}: ${field('reason')} ${field('object')}`
  })
}

/** Does it, and tells what was refused where something is not done. */
async function refusedIn(servers: readonly Ask[], work: () => Promise<void>): Promise<string[]> {
  const failure = await work().catch((error: unknown) => error)
  const found = await refused(servers)
  if (found.length === 0 && failure !== undefined) throw failure
  return found
}

/** One Redis with all users that are printed for it; its default user is an admin with a password. */
async function startOne(args: readonly string[]): Promise<{ admin: Ask; urlOf: (user: string) => string }> {
  const redis = await startRedis({ args: ['--maxmemory-policy', 'noeviction'] })
  ends.push(() => redis.stop())
  const client = new Redis(redis.port, '127.0.0.1')
  ends.push(async () => client.disconnect())
  const admin: Ask = (name, ...rest) => client.call(name, ...rest)
  await makeUsers([admin], ['all', ...args])
  await admin('ACL', 'SETUSER', 'default', 'resetpass', `>${ADMIN}`)
  await client.auth(ADMIN)
  return { admin, urlOf: (user) => redis.url.replace('//', `//${user}:${CREDENTIALS}@`) }
}

describe('users with the rights of intermix redis-acl', () => {
  it('do all that is done with one Redis, by names of their own, and nothing is refused', async () => {
    const names = ['--redis-prefix', 'shop_1', '--mesh', 'west']
    const { admin, urlOf } = await startOne([...names, '--roles', 'node,worker,operator,quota'])
    const url = (role: string) => urlOf(`shop_1.west-${role}`)
    const world = await startRightsWorld({
      flags: (role) => ['--redis', url(role), ...names],
      quotaUrl: url('quota'),
    })
    ends.push(() => world.stop())
    expect(await refusedIn([admin], () => world.exercise())).toEqual([])
  }, 300_000)

  it('are told which right they lack, as soon as one is taken away', async () => {
    const { admin, urlOf } = await startOne([])
    const world = await startRightsWorld({ flags: (role) => ['--redis', urlOf(`intermix-${role}`)], quotaUrl: '' })
    ends.push(() => world.stop())
    await world.exercise()
    const said = (role: 'node' | 'worker') => async () => (await world.ask())[role]
    const slow = { timeout: 60_000 }
    for (const [role, taken, words] of [
      ['worker', '-bzpopmin', 'may not run BZPOPMIN: ACL SETUSER intermix-worker +bzpopmin'],
      ['node', '-evalsha', 'may not run EVALSHA: ACL SETUSER intermix-node +evalsha'],
      ['node', '-lpush', 'may not run a command of a script'],
    ] as const) {
      await admin('ACL', 'SETUSER', `intermix-${role}`, taken)
      await expect.poll(said(role), slow).toContain(words)
      await admin('ACL', 'SETUSER', `intermix-${role}`, taken.replace('-', '+'))
    }
    // All keys but those that begin so, as far as the first letters go.
    await admin('ACL', 'SETUSER', 'intermix-node', 'resetkeys', '~intermix:*', '~{intermix-[^r]*', '~{intermix:*')
    await expect.poll(said('node'), slow).toContain('may not use keys {intermix-reports}*')
  }, 300_000)

  it('do all that is done with a cluster, also while slots move', async () => {
    const cluster = await startCluster({ replicas: 0, password: ADMIN })
    ends.push(() => cluster.stop())
    const servers = cluster.ports.map(
      (port): Ask =>
        (name, ...args) =>
          cluster.ask(port, name, ...args),
    )
    await makeUsers(servers, ['all', '--topology', 'cluster'])
    const hosts = cluster.ports.map((port) => `127.0.0.1:${port}`).join()
    const world = await startRightsWorld({
      flags: (role) => ['--redis', `redis+cluster://intermix-${role}:${CREDENTIALS}@${hosts}`],
      quotaUrl: '',
    })
    ends.push(() => world.stop())
    const [from = 0, to = 0] = cluster.ports
    const work = async () => {
      await world.exercise()
      await Promise.all([world.exercise(), cluster.moveSlots(from, to, 1_000)])
    }
    expect(await refusedIn(servers, work)).toEqual([])
  }, 300_000)

  it('do all that is done through Sentinel, before a failover and after it', async () => {
    const setup = await startSentinel({ replicas: 1, password: ADMIN, sentinelPassword: ADMIN })
    ends.push(() => setup.stop())
    const asking =
      (port: number): Ask =>
      (name, ...args) =>
        setup.ask(port, name, ...args)
    const [servers, sentinels] = [setup.servers.map(asking), setup.sentinels.map(asking)]
    await makeUsers(servers, ['all', '--topology', 'sentinel'])
    await makeUsers(sentinels, ['sentinels'])
    // The servers sign in at each other with the rights that are printed, too.
    for (const ask of servers) await ask('CONFIG', 'SET', 'masteruser', 'intermix-replica', 'masterauth', PASSWORD)
    const asSentinel = ['auth-user', 'intermix-sentinel', 'auth-pass', PASSWORD]
    for (const ask of sentinels) await ask('SENTINEL', 'SET', 'main', ...asSentinel)
    const signIn = ['--redis-sentinel-user', 'intermix-client', '--redis-sentinel-password-file', passwordFile]
    const hosts = setup.sentinels.map((port) => `127.0.0.1:${port}`).join()
    const password = ['--redis-password-file', passwordFile]
    const world = await startRightsWorld({
      flags: (role) => ['--redis', `redis+sentinel://intermix-${role}@${hosts}/main`, ...password, ...signIn],
      quotaUrl: '',
    })
    ends.push(() => world.stop())
    const work = async () => {
      await world.exercise()
      await setup.failover()
      await world.exercise()
    }
    expect(await refusedIn([...servers, ...sentinels], work)).toEqual([])
  }, 300_000)
})
