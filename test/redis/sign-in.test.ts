import { execFileSync } from 'node:child_process'
import { mkdtemp, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { runCommand } from '../../src/cli/commands.ts'
import { createLogger } from '../../src/observe/logger.ts'
import type { RedisAccess } from '../../src/redis/redis-access.ts'
import { connectRedis, type RedisLink } from '../../src/redis/connection.ts'
import { createRedisClient } from '../../src/redis/create-client.ts'
import { testIo } from '../cli/support.ts'
import { type Certificates, createCertificates } from '../helpers/certificates.ts'
import { freePort, freePorts } from '../helpers/ports.ts'
import { spawnChild } from '../helpers/process.ts'
import { startRedis } from '../helpers/redis.ts'
import { type RedisCluster, startCluster } from '../helpers/redis-cluster.ts'
import { startSentinel } from '../helpers/redis-sentinel.ts'
import { fixedRandom, KeptLog, realClock, ReadableMeter, until, untilUp } from './support.ts'

const PASSWORD = 'p@:/#?%25 ,[]ß'
const ends: (() => void | Promise<unknown>)[] = []
let folder = ''
let certificates: Certificates
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'intermix-sign-in-'))
  certificates = await createCertificates()
})
afterAll(async () => {
  await rm(folder, { recursive: true })
  await certificates.remove()
})
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

function linkTo(access: RedisAccess): { readonly link: RedisLink; readonly log: KeptLog } {
  const ports = { clock: realClock, random: fixedRandom, log: new KeptLog(), meter: new ReadableMeter() }
  const link = connectRedis({ access, role: 'queue', commandTimeoutMs: 1000, ...ports })
  ends.push(() => link.close())
  return { link, log: ports.log }
}

async function fileWith(text: string): Promise<string> {
  const path = join(folder, `secret-${Math.random()}`)
  await writeFile(path, text)
  return path
}

async function answers({ link }: { readonly link: RedisLink }): Promise<void> {
  await untilUp(link)
  expect(await link.run((client) => client.set('{t}a', '1'))).toBe('OK')
}

function tlsArgs({ authority, certificate, key }: Certificates): readonly string[] {
  return ['--tls-ca-cert-file', authority, '--tls-cert-file', certificate, '--tls-key-file', key]
}

describe('a password of Redis', () => {
  it.each(['\n', '\r\n', ''])('is the text of a file, without a line end %j', async (end) => {
    const redis = await startRedis({ args: ['--requirepass', PASSWORD] })
    ends.push(() => redis.stop())
    await answers(linkTo({ url: redis.url, passwordFile: await fileWith(PASSWORD + end) }))
  })

  it.each(['redis://me:p@:/#?%25%2C[]ß@', `redis://me:${encodeURIComponent('p@:/#?%,[]ß')}@`])(
    'is read from the URL as it stands or percent-encoded: %s',
    async (start) => {
      const redis = await startRedis({
        args: ['--user', 'me', 'on', '>p@:/#?%,[]ß', 'allkeys', 'allchannels', 'allcommands'],
      })
      ends.push(() => redis.stop())
      await answers(linkTo({ url: redis.url.replace('redis://', start) }))
    },
  )

  it('is read again for each new connection, so that it can be changed, in copies of the client, too', async () => {
    const redis = await startRedis({ args: ['--requirepass', 'first'] })
    ends.push(() => redis.stop())
    const passwordFile = await fileWith('first\n')
    const first = linkTo({ url: redis.url, passwordFile })
    await answers(first)
    const client = createRedisClient({ url: redis.url, passwordFile }, { maxRetriesPerRequest: null })
    const copy = (client as Redis).duplicate()
    for (const each of [client, copy]) {
      each.on('error', () => undefined)
      ends.push(() => each.disconnect())
      await until(() => each.status === 'ready', 'the client is ready')
    }
    await first.link.run((own) => own.config('SET', 'requirepass', 'second'))
    await writeFile(passwordFile, 'second\n')
    await first.link.run((own) => own.call('CLIENT', 'KILL', 'SKIPME', 'no')).catch(() => undefined)
    await until(() => first.link.state() === 'down' || first.log.lines.length > 1, 'the connection was cut')
    await answers(first)
    for (const each of [client, copy]) await until(() => each.status === 'ready', 'the client is ready again')
    expect(first.log.lines.join()).not.toContain('WRONGPASS')
  })

  it('is read again for each new connection to a node of a cluster', async () => {
    const cluster = await startCluster({ masters: 1, replicas: 0, password: 'first' })
    ends.push(() => cluster.stop())
    const passwordFile = await fileWith('first')
    const one = linkTo({ url: cluster.url, passwordFile })
    await answers(one)
    await writeFile(passwordFile, 'second')
    const [port = 0] = cluster.ports
    await cluster.ask(port, 'CONFIG', 'SET', 'requirepass', 'second')
    await cluster.ask(port, 'CLIENT', 'KILL', 'SKIPME', 'yes')
    await until(() => one.log.lines.length > 1, 'the connections were cut')
    await answers(one)
  })

  it('stays what it was while its file cannot be used, which is told', async () => {
    const redis = await startRedis({ args: ['--requirepass', 'first'] })
    ends.push(() => redis.stop())
    const passwordFile = await fileWith('first')
    const { link, log } = linkTo({ url: redis.url, passwordFile })
    await answers({ link })
    await rm(passwordFile)
    await link.run((own) => own.call('CLIENT', 'KILL', 'SKIPME', 'no')).catch(() => undefined)
    await until(() => log.lines.join().includes('there is no such file'), 'the missing file is told of')
    await answers({ link })
  })

  it.each([
    ['', 'it is empty'],
    ['\n', 'it is empty'],
    ['a\nb', 'it has several lines'],
    [Buffer.from([0xff, 0xfe]).toString('latin1'), undefined],
    [undefined, 'there is no such file'],
  ])('is not taken from a file that holds %j', async (text, problem) => {
    const passwordFile = text === undefined ? join(folder, 'none') : await fileWith(text)
    if (problem === undefined) await writeFile(passwordFile, Buffer.from([0xff, 0xfe]))
    const connecting = () => linkTo({ url: 'redis://127.0.0.1:1', passwordFile })
    expect(connecting).toThrow(
      `the file with the password of Redis, ${passwordFile}, cannot be used: ${problem ?? 'it is not UTF-8'}`,
    )
    expect(connecting).toThrow(expect.objectContaining({ code: 'INVALID_SETTING' }))
  })

  it('is not waited for at a pipe, nor read where there is no end, before or after the start', async () => {
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    const large = await fileWith('')
    await truncate(large, 2 ** 40)
    const linkBy = (passwordFile: string) => () => linkTo({ url: 'redis://127.0.0.1:1', passwordFile })
    expect(linkBy(pipe)).toThrow('it is a pipe or a device')
    expect(linkBy('/dev/zero')).toThrow('it is a pipe or a device')
    expect(linkBy(folder)).toThrow('it is a folder')
    expect(linkBy(large)).toThrow('it has more than 1048576 bytes')
    const passwordFile = await fileWith('first')
    const { log } = linkTo({ url: 'redis://127.0.0.1:1', passwordFile })
    await rename(pipe, passwordFile)
    await until(() => log.lines.join().includes('it is a pipe or a device'), 'the pipe is told of')
  })
})

describe('a wrong password', () => {
  it.each(['single', 'cluster', 'sentinel'])('is in no line of the log and no reason: %s', async (kind) => {
    const secret = 'S3CR@ET/S3CR:ET'
    const lines: string[] = []
    const write = (line: string) => lines.push(line)
    const log = createLogger({ format: 'json', level: 'debug', terminal: false, write })
    const ports = { clock: realClock, random: fixedRandom, log, meter: new ReadableMeter() }
    const url = await serverWith(kind)
    const passwordFile = await fileWith(secret)
    for (const access of [{ url: url.replace('//', `//default:${secret}@`) }, { url, passwordFile }]) {
      const link = connectRedis({ access, role: 'queue', commandTimeoutMs: 1000, ...ports })
      ends.push(() => link.close())
      await until(() => link.reason()?.includes('WRONGPASS') === true, 'the password is refused')
      await link.run((client) => client.get('a')).catch((err: unknown) => log.error({ err }, 'failed'))
      lines.push(String(link.reason()))
    }
    expect(lines.join('')).toContain('WRONGPASS')
    expect(lines.join('')).not.toMatch(/S3CR|ET/)
  })
})

/** A server of a kind that asks for another password; its URL has none. */
async function serverWith(kind: string): Promise<string> {
  if (kind === 'single') {
    const redis = await startRedis({ args: ['--requirepass', 'right'] })
    ends.push(() => redis.stop())
    return redis.url
  }
  if (kind === 'cluster') {
    const cluster = await startCluster({ masters: 1, replicas: 0, password: 'right' })
    ends.push(() => cluster.stop())
    return cluster.url
  }
  const sentinel = await startSentinel({ password: 'right', replicas: 0, sentinels: 1 })
  ends.push(() => sentinel.stop())
  return sentinel.url.replace(':right@', '')
}

describe('TLS to Redis', () => {
  it('trusts the authorities of a file alone, and shows a certificate to who asks for one', async () => {
    const { authority: ca, certificate: cert, key } = certificates
    const port = await freePort()
    const redis = await startRedis({
      args: ['--tls-port', String(port), ...tlsArgs(certificates), '--tls-auth-clients', 'yes'],
    })
    ends.push(() => redis.stop())
    const url = `rediss://127.0.0.1:${port}`
    await answers(linkTo({ url, tls: { ca, cert, key } }))
    const { link, log } = linkTo({ url, tls: { ca } })
    await until(() => log.lines.length > 0, 'the link without a certificate is told of')
    expect(link.state()).toBe('down')
    const other = await createCertificates()
    ends.push(() => other.remove())
    expect(() => linkTo({ url, tls: { ca, cert, key: other.key } })).toThrow('it is not that of the first certificate')
    expect(() => linkTo({ url, tls: { ca: key } })).toThrow('there is no certificate in PEM in it')
  })

  it('takes new certificates into use with new connections', async () => {
    const port = await freePort()
    const redis = await startRedis({
      args: ['--tls-port', String(port), ...tlsArgs(certificates), '--tls-auth-clients', 'no'],
    })
    ends.push(() => redis.stop())
    const other = await createCertificates()
    ends.push(() => other.remove())
    const { readFile } = await import('node:fs/promises')
    const ca = await fileWith(await readFile(other.authority, 'utf8'))
    const trusting = linkTo({ url: `rediss://127.0.0.1:${port}`, tls: { ca } })
    await until(() => trusting.log.lines.length > 0, 'the wrong authority is told of')
    await writeFile(ca, await readFile(certificates.authority))
    await answers(trusting)
  })

  it('checks the nodes of a cluster by the names that they go by', async () => {
    const named = await createCertificates('DNS:localhost')
    ends.push(() => named.remove())
    const cluster = await startTlsCluster(named)
    ends.push(() => cluster.stop())
    const port = Number(String(await cluster.ask(cluster.ports[0] ?? 0, 'CONFIG', 'GET', 'tls-port')).split(',')[1])
    const tls = { ca: named.authority }
    const passwordFile = await fileWith('pw')
    await answers(linkTo({ url: `rediss+cluster://localhost:${port}`, tls, passwordFile }))
  })
})

describe('TLS to sentinels', () => {
  it('is spoken to them, to the master that they name, and by who listens to them', async () => {
    const [port = 0, tlsPort = 0, plain = 0, sentinel = 0] = await freePorts(4)
    const tls = [...tlsArgs(certificates), '--tls-auth-clients', 'no', '--tls-replication', 'yes']
    const server = await spawnChild('redis-server', [
      '--port',
      String(port),
      '--tls-port',
      String(tlsPort),
      ...tls,
      '--save',
      '',
    ])
    ends.push(() => server.stop())
    const config = await fileWith(`sentinel monitor main 127.0.0.1 ${tlsPort} 1\n`)
    const ports = ['--port', String(plain), '--tls-port', String(sentinel)]
    const watch = await spawnChild('redis-server', [config, '--sentinel', ...ports, ...tls])
    ends.push(() => watch.stop())
    for (const each of [port, plain]) await (each === port ? server : watch).waitForPort(each)
    const link = linkTo({ url: `rediss+sentinel://127.0.0.1:${sentinel}/main`, tls: { ca: certificates.authority } })
    await answers(link)
    const asked = new Redis({ port: plain, enableReadyCheck: false })
    ends.push(() => asked.disconnect())
    const listens = async () =>
      /laddr=127\.0\.0\.1:(\d+) .* sub=1 /.exec(String(await asked.call('CLIENT', 'LIST')))?.[1]
    await until(async () => (await listens()) === String(sentinel), 'the sentinel is listened to over TLS')
  })
})

/** One whose nodes tell clients a name, at which they speak TLS. */
async function startTlsCluster(named: Certificates): Promise<RedisCluster> {
  const [tlsPort = 0] = await freePorts(1)
  const tls = ['--tls-port', String(tlsPort), ...tlsArgs(named), '--tls-auth-clients', 'no', '--tls-cluster', 'yes']
  const names = ['--cluster-announce-hostname', 'localhost', '--cluster-preferred-endpoint-type', 'hostname']
  const args = [...tls, ...names]
  return await startCluster({ masters: 1, replicas: 0, args, password: 'pw' })
}

describe('the password of sentinels', () => {
  it('is read from a file, beside that of the servers', async () => {
    const sentinel = await startSentinel({ password: 'server', sentinelPassword: 'watch', replicas: 1 })
    ends.push(() => sentinel.stop())
    const passwordFile = await fileWith('watch\n')
    const link = linkTo({ url: sentinel.url, sentinel: { passwordFile } })
    await answers(link)
    await sentinel.failover()
    await until(() => link.log.lines.length > 1, 'the link has left the old master')
    await answers(link)
    const io = testIo()
    await runCommand(['redis-acl', 'sentinels'], io)
    const [, , , , ...rules] = (io.lines[0] ?? '').split(' ')
    for (const port of sentinel.sentinels) await sentinel.ask(port, 'ACL', 'SETUSER', 'me', 'on', '>mine', ...rules)
    const mine = linkTo({ url: sentinel.url, sentinel: { user: 'me', passwordFile: await fileWith('mine') } })
    await answers(mine)
    const [first = 0] = sentinel.sentinels
    const watching = async () => String(await sentinel.ask(first, 'CLIENT', 'LIST')).includes(' sub=1 ')
    await until(watching, 'the sentinel is listened to')
    const denied = String(await sentinel.ask(first, 'ACL', 'LOG'))
    expect(denied).toBe('')
    const refused = linkTo({ url: sentinel.url })
    await until(() => refused.link.reason()?.includes('NOAUTH') === true, 'the sentinels refuse')
  })
})
