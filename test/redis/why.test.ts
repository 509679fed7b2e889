// Each way in which a Redis can refuse to be used, by a real one: what the link says of it.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLogger } from '../../src/observe/logger.ts'
import { type Certificates, createCertificates } from '../helpers/certificates.ts'
import { freePort } from '../helpers/ports.ts'
import { type Child, spawnChild } from '../helpers/process.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { startCluster } from './cluster.ts'
import { connectTo, until, untilUp } from './support.ts'

const cleanups: (() => unknown)[] = []
let plain: RedisServer
let guarded: RedisServer
let certificates: Certificates
let tlsPort: number
let mutualPort: number
let sentinelPort: number
let webPort: number
let mutePort: number
let nobody: number

async function server(...args: string[]): Promise<RedisServer> {
  const redis = await startRedis({ args })
  cleanups.push(() => redis.stop())
  return redis
}

async function listen(started: Server | HttpServer): Promise<number> {
  const sockets = new Set<Socket>()
  started.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => undefined)))
  await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy()
    started.close()
  })
  return (started.address() as AddressInfo).port
}

async function startSentinel(masterPort: number): Promise<number> {
  const port = await freePort()
  const directory = await mkdtemp(join(tmpdir(), 'intermix-sentinel-'))
  const file = join(directory, 'sentinel.conf')
  await writeFile(file, `port ${port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 ${masterPort} 1\n`)
  const child: Child = await spawnChild('redis-server', [file, '--sentinel'])
  cleanups.push(
    () => child.kill(),
    () => rm(directory, { recursive: true, force: true }),
  )
  await child.waitForPort(port)
  return port
}

beforeAll(async () => {
  certificates = await createCertificates()
  cleanups.push(() => certificates.remove())
  ;[tlsPort, mutualPort, nobody] = [await freePort(), await freePort(), await freePort()]
  const { authority, certificate, key } = certificates
  const tls = ['--tls-cert-file', certificate, '--tls-key-file', key, '--tls-ca-cert-file', authority, '--tls-port']
  plain = await server()
  guarded = await server('--requirepass', 'secret')
  await server(...tls, String(tlsPort), '--tls-auth-clients', 'no', '--bind', '127.0.0.1', '127.0.0.2')
  await server(...tls, String(mutualPort))
  sentinelPort = await startSentinel(nobody)
  webPort = await listen(createHttpServer((_request, response) => response.end('hello')))
  mutePort = await listen(createServer())
})

afterAll(async () => {
  for (const cleanup of cleanups.toReversed()) await cleanup()
})

/** What a link says of a Redis once it knows. */
async function reasonOf(url: string, expected: RegExp, tls?: object): Promise<void> {
  const { link, log } = connectTo({ url, ...(tls === undefined ? {} : { tls }) }, { probeKeys: () => ['{a}:probe'] })
  cleanups.push(() => link.close())
  await until(() => expected.test(link.reason() ?? ''), `${url} is said to be ${expected}`).catch((error: Error) => {
    throw new Error(`${error.message}; it is said: ${link.reason()}`)
  })
  expect(link.state()).toBe('down')
  // The log says the same; whoever calls hears no more than that.
  expect(log.lines.some((line) => expected.test(line))).toBe(true)
  await expect(link.run((client) => client.get('a'))).rejects.toThrow(/^Redis is not reachable$/)
}

describe.concurrent('a link says why Redis cannot be used', () => {
  it.each<[string, () => string, RegExp]>([
    [
      'no password',
      () => `redis://127.0.0.1:${guarded.port}`,
      /it wants a password and got none: .*--redis-password-file.*NOAUTH/,
    ],
    [
      'a wrong one',
      () => `redis://:s3cret@127.0.0.1:${guarded.port}`,
      /does not take this user and password: correct .*WRONGPASS/,
    ],
    [
      'an unknown host',
      () => 'redis://no-such-host.invalid',
      /there is no host 'no-such-host.invalid': correct the name/,
    ],
    [
      'a port where nobody listens',
      () => `redis://127.0.0.1:${nobody}`,
      /nothing listens at 127.0.0.1:\d+: start Redis there/,
    ],
    ['something else', () => `redis://127.0.0.1:${webPort}`, /what listens there is no Redis: correct host and port/],
    ['what says nothing', () => `redis://127.0.0.1:${mutePort}`, /takes connections and says nothing: it hangs/],
    [
      'TLS where it speaks none',
      () => `rediss://127.0.0.1:${plain.port}`,
      /no TLS: write redis:\/\/ in place of rediss:/,
    ],
    [
      'no TLS where it does',
      () => `redis://127.0.0.1:${tlsPort}`,
      /it expects TLS: write rediss:\/\/ in place of redis:/,
    ],
    ['no TLS where it wants a certificate', () => `redis://127.0.0.1:${mutualPort}`, /it expects TLS: write rediss:/],
    [
      'an unknown authority',
      () => `rediss://127.0.0.1:${tlsPort}`,
      /authority that is not known here: .*--redis-tls-ca/,
    ],
    [
      'a database that is not there',
      () => `redis://127.0.0.1:${plain.port}/99`,
      /it has no database of that number: correct/,
    ],
    [
      'a sentinel for a Redis',
      () => `redis://127.0.0.1:${sentinelPort}`,
      /if it is a sentinel, write redis\+sentinel:/,
    ],
    [
      'sentinels whose master is away',
      () => `redis+sentinel://127.0.0.1:${sentinelPort}/main`,
      /the master that the sentinels name: nothing listens at/,
    ],
    [
      'sentinels that do not know its name',
      () => `redis+sentinel://127.0.0.1:${nobody},127.0.0.1:${sentinelPort}/other`,
      /(?=.*sentinel \S+: nothing listens at)(?=.*sentinel \S+: it knows no master 'other')/,
    ],
    ['a Redis for a sentinel', () => `redis+sentinel://127.0.0.1:${plain.port}/main`, /it is a Redis and no sentinel/],
    [
      'sentinels with a password',
      () => `redis+sentinel://127.0.0.1:${guarded.port}/main`,
      /it wants a password of its own: .*--redis-sentinel-password-file/,
    ],
    [
      'sentinels without TLS',
      () => `rediss+sentinel://127.0.0.1:${sentinelPort}/main`,
      /sentinel \S+: it takes connections and no TLS/,
    ],
    [
      'sentinels that nobody knows',
      () => 'redis+sentinel://no-such-host.invalid/main',
      /sentinel \S+: there is no host/,
    ],
    [
      'a Redis for a cluster',
      () => `redis+cluster://127.0.0.1:${plain.port}`,
      /it is no cluster: write redis:\/\/ in place of redis\+cluster:/,
    ],
    ['a cluster where nobody listens', () => `redis+cluster://127.0.0.1:${nobody}`, /node \S+: nothing listens at/],
    [
      'a cluster that wants a password',
      () => `redis+cluster://127.0.0.1:${guarded.port}`,
      /it wants a password and got none/,
    ],
    ['a cluster by an unknown name', () => 'redis+cluster://no-such-host.invalid', /there is no host/],
    [
      'a cluster of an unknown authority',
      () => `rediss+cluster://127.0.0.1:${tlsPort}`,
      /authority that is not known here/,
    ],
  ])('%s', async (_name, url, expected) => await reasonOf(url(), expected), 20_000)

  it('answers that come to no end, and leaves a connection that hangs by them', async () => {
    let isDripping = true
    const port = await listen(
      createServer((client) => {
        if (!isDripping) {
          const upstream = connect(plain.port, '127.0.0.1').on('error', () => undefined)
          client.pipe(upstream).pipe(client)
          return
        }
        client.on('data', () => undefined).write('$1000000\r\n')
        const drip = setInterval(() => client.write('x'), 100)
        client.on('close', () => clearInterval(drip))
      }),
    )
    const { link } = connectTo({ url: `redis://127.0.0.1:${port}` })
    cleanups.push(() => link.close())
    await until(() => link.reason()?.includes('its answers come to no end') === true, 'it is told of')
    isDripping = false
    await untilUp(link)
  })

  it('and never what it was to sign in with', async () => {
    for (const url of [
      `redis://me:s3cret@127.0.0.1:${guarded.port}`,
      `redis+cluster://me:s3cret@127.0.0.1:${guarded.port}`,
    ]) {
      const lines: string[] = []
      const write = (line: string) => void lines.push(line)
      const log = createLogger({ format: 'json', level: 'debug', terminal: false, write })
      const { link } = connectTo({ url }, { log })
      cleanups.push(() => link.close())
      await until(() => link.reason()?.includes('WRONGPASS') === true, 'it is refused')
      log.warn({ err: await link.run((client) => client.get('a')).catch((error: unknown) => error) }, 'refused')
      expect(lines.length).toBeGreaterThan(2)
      expect(lines.join('')).not.toContain('s3cret')
    }
  })

  it('a certificate for another host, and none of ours', async () => {
    const ca = certificates.authority
    // 127.0.0.2 is this machine, too.
    await reasonOf(
      `rediss://127.0.0.2:${tlsPort}`,
      /its certificate is not for '127.0.0.2': connect by a name that it has/,
      { ca },
    )
    await reasonOf(`rediss://127.0.0.1:${mutualPort}`, /it wants a certificate of us: give --redis-tls-cert/, { ca })
  })

  it('protected mode, and as many clients as it may have', async () => {
    const outside = Object.values(networkInterfaces())
      .flat()
      .find((each) => each?.family === 'IPv4' && !each.internal)
    if (outside !== undefined) {
      const open = await server('--bind', '0.0.0.0', '--protected-mode', 'yes')
      await reasonOf(`redis://${outside.address}:${open.port}`, /it is in protected mode, .*DENIED/)
    }
    const crowded = await server('--maxclients', '1')
    const holder = connect(crowded.port, '127.0.0.1')
    cleanups.push(() => holder.destroy())
    await reasonOf(`redis://127.0.0.1:${crowded.port}`, /as many clients as it may: raise its maxclients/)
  })

  it('a replica, one that has lost its master, and a master without replicas', async () => {
    const replica = await server('--replicaof', '127.0.0.1', String(nobody))
    await reasonOf(
      `redis://127.0.0.1:${replica.port}`,
      /it is a replica and takes no writes: name the master.*READONLY/,
    )
    const alone = await server('--min-replicas-to-write', '1')
    await reasonOf(`redis://127.0.0.1:${alone.port}`, /fewer good replicas than min-replicas-to-write.*NOREPLICAS/)
  })

  it('one that cannot write its data to disk', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'intermix-full-'))
    cleanups.push(() => rm(directory, { recursive: true, force: true }))
    const redis = await server('--save', '3600 1', '--dir', directory)
    const { link, log } = connectTo({ url: redis.url }, { probeKeys: () => ['{a}:probe'] })
    cleanups.push(() => link.close())
    await untilUp(link)
    // Where the file should come to lie, there is a folder.
    await mkdir(join(directory, 'dump.rdb'))
    await link.run((client) => client.set('a', '1'))
    await link.run((client) => client.bgsave())
    await until(async () => {
      await link.run((client) => client.set('a', '1')).catch(() => undefined)
      return link.state() === 'down'
    }, 'it takes no writes')
    expect(link.reason()).toMatch(/cannot write its data to disk .*MISCONF/)
    expect(log.lines.filter((line) => line.startsWith('warn Redis is down'))).toHaveLength(1)
    await rm(join(directory, 'dump.rdb'), { recursive: true })
    await plainCommand(redis.port, 'BGSAVE')
    await untilUp(link)
  })

  it('one that reads its data', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'intermix-loading-'))
    cleanups.push(() => rm(directory, { recursive: true, force: true }))
    const before = await startRedis({ args: ['--dir', directory] })
    const { link } = connectTo({ url: before.url })
    await untilUp(link)
    const value = 'x'.repeat(10_000)
    for (let i = 0; i < 300; i++) await link.run((client) => client.set(`k${i}`, value))
    await link.run((client) => client.save())
    link.close()
    await before.stop()
    const port = await freePort()
    const slow = [
      '--key-load-delay',
      '20000',
      '--loading-process-events-interval-bytes',
      '1024',
      '--rdbcompression',
      'no',
    ]
    const child = await spawnChild('redis-server', ['--port', String(port), '--dir', directory, '--save', '', ...slow])
    cleanups.push(() => child.kill())
    await child.waitForPort(port)
    await reasonOf(`redis://127.0.0.1:${port}`, /it is reading its data into memory: .*LOADING/)
  })

  it('a cluster without a master for each slot, and one of its nodes by itself', async () => {
    const cluster = await startCluster()
    cleanups.push(() => cluster.stop())
    await plainCommand(cluster.port, 'CLUSTER DELSLOTS 1')
    await reasonOf(`redis+cluster://127.0.0.1:${cluster.port}`, /the cluster is down: not every slot has a master/)
    await reasonOf(`redis://127.0.0.1:${cluster.port}`, /the cluster is down: .*CLUSTERDOWN/)
  })
})

/** One inline command over a bare socket. */
function plainCommand(port: number, command: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(`${command}\r\n`))
    socket.once('error', reject)
    socket.once('data', () => {
      socket.destroy()
      resolve()
    })
  })
}
