import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runCommand } from '../../src/cli/commands.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { Timestamp } from '../../src/kernel/time.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { type DeadLetter, DeadLetters } from '../../src/telemetry/dead-letters.ts'
import { instanceToJson } from '../../src/telemetry/instance-json.ts'
import { parcelOf, parcelToJob } from '../../src/telemetry/parcel.ts'
import { RedisLedger } from '../../src/telemetry/redis-ledger.ts'
import { encodeRecords } from '../../src/wire/record-json.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { testLink, untilUp } from '../redis/support.ts'
import { testIo } from './support.ts'

let redis: RedisServer
let link: RedisLink
let letters: DeadLetters
let ledger: RedisLedger

beforeEach(async () => {
  redis = await startRedis()
  link = testLink(redis.url, 1000).link
  await untilUp(link)
  ledger = new RedisLedger(link)
  letters = new DeadLetters({ link, ledger })
})

afterEach(async () => {
  await letters.close()
  link.close()
  await redis.stop()
})

const NOW = Date.now()

function letter(id: string, handler: string, count: number, more: Partial<DeadLetter> = {}): DeadLetter {
  const instances = Array.from({ length: count }, (_, n) =>
    instanceToJson({
      name: 'size.instance.istio-system',
      template: 'metric',
      fields: { value: 2n ** 40n + BigInt(n), dimensions: { ip: Uint8Array.of(10, 0, 0, 1), at: new Timestamp(0n) } },
    }),
  )
  return {
    version: 1,
    id,
    handler,
    template: 'metric',
    count,
    reason: 'schema mismatch',
    attempts: 8,
    firstFailureAt: NOW - 7_200_000,
    lastFailureAt: NOW - 3_600_000,
    replays: 0,
    content: { kind: 'instances', job: { version: 1, id, handler, template: 'metric', count, replays: 0, instances } },
    ...more,
  }
}

/** Reports that nobody could read, as three doors brought them. */
function unread(id: string): DeadLetter {
  const records = encodeRecords([MapBag.of({ 'request.path': '/a', 'response.code': 200n })])
  const batches = [
    { id: 'r-1', format: 'attributes', count: 1, payload: records, acceptedAt: 0 },
    { id: 'r-2', format: 'unheard-of', count: 1, payload: records, acceptedAt: 0 },
  ] as const
  const job = parcelToJob(parcelOf(batches, id))
  return letter(id, 'fan-out', 2, { template: '', reason: 'cannot be read', content: { kind: 'reports', job } })
}

async function run(...args: string[]) {
  const io = testIo({ env: { INTERMIX_REDIS: redis.url } })
  const code = await runCommand(['dead-letters', ...args], io)
  return { code, lines: io.lines, errors: io.errors }
}

describe('intermix dead-letters', () => {
  it('lists the oldest first, with how long ago they failed and where they were to go', async () => {
    await letters.add(letter('b-1', 'a', 2, { target: 'http://backend:80/reports' }))
    await letters.add(letter('b-2', 'b', 3, { attempts: 1 }))
    const { lines } = await run('list')
    expect(lines).toEqual([
      expect.stringMatching(
        /^b-1 {2}a \(http:\/\/backend:80\/reports\) {2}metric x2 {2}8 tries, last 1h0m\d+s ago: schema mismatch$/,
      ),
      expect.stringMatching(/^b-2 {2}b {2}metric x3 {2}1 try, last 1h0m\d+s ago: schema mismatch$/),
      '2 of 2 dead letters shown',
    ])
    const [first] = (await run('list', '--json', '--limit', '1')).lines.map((line) => JSON.parse(line) as object)
    expect(first).toMatchObject({ id: 'b-1', target: 'http://backend:80/reports', count: 2 })
    expect(first).not.toHaveProperty('content')
  })

  it.each<[string[], string[]]>([
    [['--handler', 'b'], ['b-2']],
    [['--template', 'logentry'], ['b-3']],
    [
      ['--reason', 'http 401'],
      ['b-2', 'b-4'],
    ],
    [['--older-than', '90m'], ['b-1']],
    [
      ['--newer-than', '90m'],
      ['b-2', 'b-3', 'b-4'],
    ],
    [
      ['--newer-than', '90m', '--limit', '2'],
      ['b-2', 'b-3'],
    ],
    [['--reason', 'HTTP 401', '--handler', 'a'], ['b-4']],
  ])('takes those that %j means, for a list and for all that is done to them', async (flags, ids) => {
    await letters.add(letter('b-1', 'a', 1, { lastFailureAt: NOW - 7_000_000 }))
    await letters.add(letter('b-2', 'b', 1, { reason: 'answered with HTTP 401' }))
    await letters.add(letter('b-3', 'a', 1, { template: 'logentry' }))
    await letters.add(letter('b-4', 'a', 1, { reason: 'answered with HTTP 401' }))
    const named = (lines: readonly string[]) => lines.map((line) => (JSON.parse(line) as DeadLetter).id)
    expect(named((await run('list', '--json', ...flags)).lines)).toEqual(ids)
    const dropped = await run('drop', '--all', '--json', ...flags)
    expect(named(dropped.lines)).toEqual(ids)
    expect(JSON.parse(dropped.lines[0] ?? '')).toMatchObject({ action: 'dropped', count: 1 })
    expect(await letters.count()).toBe(4 - ids.length)
  })

  it('knows a handler by its full name, or by its name alone', async () => {
    await letters.add(letter('b-1', 'log.handler.shop', 1))
    await letters.add(letter('b-2', 'logs.handler.shop', 1))
    for (const name of ['log.handler.shop', 'log']) {
      const { lines } = await run('list', '--handler', name)
      expect(lines).toEqual([expect.stringMatching(/^b-1 /), '1 of 2 dead letters shown'])
    }
  })

  it('shows one with its records, as they would be said', async () => {
    await letters.add(letter('b-1', 'a', 2, { target: 'http://backend/reports' }))
    const { code, lines } = await run('show', 'b-1')
    expect(code).toBe(0)
    expect(lines.slice(0, 5)).toEqual([
      'b-1',
      '  handler        a',
      '  target         http://backend/reports',
      '  holds          metric x2',
      '  reason         schema mismatch',
    ])
    expect(lines.slice(-2).map((line) => JSON.parse(line) as object)).toEqual(
      [0, 1].map((n) => ({
        name: 'size.instance.istio-system',
        fields: { value: 2 ** 40 + n, dimensions: { ip: '10.0.0.1', at: '1970-01-01T00:00:00Z' } },
      })),
    )
    const said = JSON.parse((await run('show', 'b-1', '--json')).lines.join('\n')) as { records: object[] }
    expect(said).toMatchObject({ id: 'b-1', records: [{ fields: { value: 2 ** 40 } }, {}] })
    expect(await run('show', 'b-9')).toMatchObject({
      code: 1,
      errors: ["intermix dead-letters: there is no dead letter 'b-9'"],
    })
  })

  it('shows reports as far as they can be read, and why no further', async () => {
    await letters.add(unread('p-1'))
    const { lines } = await run('show', 'p-1')
    expect(lines.find((line) => line.includes('unreadable'))).toContain('r-2: the format unheard-of is not known here')
    expect(lines.slice(-1)).toEqual(['{"request.path":"/a","response.code":200}'])
    await letters.add(letter('b-1', 'a', 1, { content: { kind: 'instances', job: { version: 9 } as never } }))
    expect((await run('show', 'b-1')).lines.join('\n')).toContain('unreadable     a deliver job has version 9')
  })

  it('replays and drops one or all of a handler, and counts them', async () => {
    for (let i = 1; i <= 5; i++) await letters.add(letter(`b-${i}`, i < 4 ? 'a' : 'b', i))
    expect((await run('replay', 'b-1')).lines).toEqual(['replayed 1 dead letter with 1 record'])
    expect((await run('drop', '--all', '--handler', 'b')).lines).toEqual(['dropped 2 dead letters with 9 records'])
    expect((await run('replay', '--all')).lines).toEqual(['replayed 2 dead letters with 5 records'])
    expect(await letters.count()).toBe(0)
    expect((await ledger.read()).get('b')?.dropped).toEqual({ operator: 9 })
    expect((await ledger.read()).get('a')).toMatchObject({ deadLetters: 0, dropped: {} })
  })

  it.each([
    [[], 'nothing: give one of list, show, replay, drop'],
    [['shwo'], 'shwo: give one of list, show, replay, drop; did you mean show?'],
    [['show'], 'give the ID that list shows'],
    [['replay'], 'give either an ID or --all'],
    [['drop', 'x', '--all'], 'give either an ID or --all'],
    [['list', '--all'], '--all: goes with replay and drop'],
    [['drop', 'x', '--reason', 'y', '--limit', '1'], '--reason, --limit: goes with list or --all, not with an ID'],
    [['list', '--older-than', 'yesterday'], '--older-than'],
    [['drop', '--all', '--older-than', '2h', '--newer-than', '1h'], 'nothing is both'],
    [['list', '--queue-redis', 'none'], 'give the URL of the Redis'],
  ])('refuses %j', async (args, message) => {
    const { code, errors } = await run(...args)
    expect(code).toBe(2)
    expect(errors.join('\n')).toContain(message)
  })

  it('says what Redis wants of it', async () => {
    const admin = testLink(redis.url).link
    await untilUp(admin)
    await admin.run((client) => client.config('SET', 'requirepass', 'secret'))
    admin.close()
    expect(await run('list')).toMatchObject({ code: 3, errors: [expect.stringContaining('NOAUTH')] })
  })

  it('takes the password from a file, as nodes do, and never prints it', async () => {
    const admin = testLink(redis.url).link
    await untilUp(admin)
    await admin.run((client) => client.config('SET', 'requirepass', 'S3CR@ET'))
    admin.close()
    const folder = await mkdtemp(join(tmpdir(), 'intermix-password-'))
    const file = join(folder, 'password')
    await writeFile(file, 'S3CR@ET\n')
    const env = { INTERMIX_REDIS_PASSWORD_FILE: file, INTERMIX_REDIS_TLS_CA: '/of/another/redis' }
    const io = testIo({ env })
    expect(await runCommand(['dead-letters', 'list', '--redis', redis.url], io)).toBe(0)
    expect(io.lines).toEqual(['0 of 0 dead letters shown'])
    await writeFile(file, 'S3CR@ET, wrong')
    const refused = testIo({ env })
    expect(await runCommand(['dead-letters', 'list', '--redis', redis.url], refused)).toBe(3)
    expect(refused.errors.join()).toContain('WRONGPASS')
    expect(refused.errors.join()).not.toMatch(/S3CR|ET/)
    expect((await run('list', '--redis-tls-ca', '/x')).errors.join()).toContain('no Redis URL begins with rediss')
    await rm(folder, { recursive: true })
  })

  it('says that Redis cannot be reached', async () => {
    await redis.kill()
    expect(await run('list')).toMatchObject({
      code: 3,
      errors: [
        expect.stringMatching(
          /Redis at redis:.* cannot be used, for 3000 ms already: nothing listens at .*ECONNREFUSED/,
        ),
      ],
    })
  })
})
