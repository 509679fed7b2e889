// The way of reports as each role puts it together: intake, queue, fan-out, handlers, and what is left at the end.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createReports, loadWorker, type Reports } from '../../src/compose/reports.ts'
import type { Snapshot } from '../../src/config/snapshot.ts'
import type { Clock } from '../../src/kernel/ports.ts'
import { Health } from '../../src/observe/health.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { encodeRecords } from '../../src/wire/record-json.ts'
import { readSettings } from '../../src/settings/settings.ts'
import type { Role } from '../../src/settings/setting-spec.ts'
import { FakeClock } from '../helpers/clock.ts'
import { startRedis } from '../helpers/redis.ts'
import { document, goodPolicy, type PolicyNode, startPolicy } from '../policy/policy-node.ts'
import { KeptLog, ReadableMeter, realClock, testLink, untilUp } from '../redis/support.ts'

let directory: string
const ends: (() => unknown)[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'intermix-reports-'))
})

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
  rmSync(directory, { recursive: true })
})

/** A config that writes the path of each record to a file in the directory. */
function lines(file: string): Snapshot {
  const params = { logStream: 'FILE', outputPath: join(directory, file) }
  return goodPolicy(
    ...[
      { kind: 'handler', name: 'lines', spec: { compiledAdapter: 'stdio', params } },
      {
        kind: 'instance',
        name: 'line',
        spec: { compiledTemplate: 'logentry', params: { severity: '"info"', variables: { path: 'request.path' } } },
      },
      { kind: 'rule', name: 'all', spec: { actions: [{ handler: 'lines', instances: ['line'] }] } },
    ].map(document),
  )
}

function written(file: string): string[] {
  return readdirSync(directory).includes(file)
    ? [...readFileSync(join(directory, file), 'utf8').matchAll(/\/[a-z-]+/g)].map(([path]) => path)
    : []
}

interface Parts {
  readonly clock: Clock
  readonly redis?: { readonly url: string; readonly link: RedisLink }
  readonly args?: readonly string[]
  readonly health?: Health
}

async function create(role: Role, { clock, redis, args = [], health = new Health() }: Parts): Promise<Reports> {
  const given = ['--config', directory, '--redis', redis?.url ?? 'none', ...args]
  const read = readSettings(role, given, {})
  if ('problems' in read) throw new Error(read.problems.join('\n'))
  // Real chance: two processes with the same would take each other's files for their own.
  const ports = { clock, random: Math.random, log: new KeptLog(), meter: new ReadableMeter(), health }
  const reports = createReports({
    settings: read.settings,
    process: 'p-1',
    ...ports,
    queueLink: redis?.link,
    createWorker: await loadWorker(read.settings),
  })
  ends.push(() => reports.stop(100).catch(() => undefined))
  await reports.start()
  return reports
}

/** A config in use. */
async function use(snapshot: Snapshot): Promise<PolicyNode> {
  const node = await startPolicy(snapshot)
  ends.push(() => node.stop())
  return node
}

let serial = 0

function send({ intake }: Reports, ...paths: readonly string[]): void {
  const payload = encodeRecords(paths.map((path) => MapBag.of({ 'request.path': path })))
  intake?.accept({ id: `b-${++serial}`, format: 'attributes', count: paths.length, payload, acceptedAt: 0 })
}

async function ledger({ debug }: Reports) {
  return (await debug.get('reports')?.()) as { intake?: object; handlers: Readonly<Record<string, object>> }
}

describe('reports in one process without Redis', () => {
  it('are held until there is a config, delivered under it, and under the next one after a reload', async () => {
    const clock = new FakeClock()
    const reports = await create('all', { clock, args: ['--report-batch-max-entries', '1'] })
    send(reports, '/early')
    await clock.advance(1_000)
    expect((await ledger(reports)).intake).toMatchObject({ accepted: 1, held: 1 })
    const node = await use(lines('first'))
    reports.follow(node.state())
    await expect.poll(() => written('first')).toEqual(['/early'])
    await node.apply(lines('second'))
    reports.follow(node.state())
    send(reports, '/late')
    await expect.poll(() => written('second')).toEqual(['/late'])
    expect(written('first')).toEqual(['/early'])
    const { intake, handlers } = await ledger(reports)
    expect(intake).toMatchObject({ accepted: 2, delivered: 2, held: 0, dropped: {} })
    await expect
      .poll(async () => (await ledger(reports)).handlers['lines.handler.istio-system'])
      .toMatchObject({ accepted: 2, delivered: 2, held: 0 })
    expect(handlers['fan-out']).toMatchObject({ accepted: 2, delivered: 2 })
  })

  it('are delivered at the end, those that wait for more of their batch too', async () => {
    const clock = new FakeClock()
    const reports = await create('all', { clock })
    const node = await use(lines('out'))
    reports.follow(node.state())
    send(reports, '/a', '/b')
    expect(written('out')).toEqual([])
    await reports.stop(1_000)
    expect(written('out')).toEqual(['/a', '/b'])
    send(reports, '/too-late')
    expect((await ledger(reports)).intake).toMatchObject({ accepted: 2, delivered: 2, refused: { closed: 1 } })
  })

  it('go to the folder that the settings name where nobody takes them, and come back from it', async () => {
    const clock = new FakeClock()
    const args = ['--spool-dir', join(directory, 'spool')]
    const first = await create('node', { clock, args })
    send(first, '/kept')
    // Nobody takes them: they are written at once, and no time passes.
    await first.stop(1_000)
    expect((await ledger(first)).intake).toMatchObject({ accepted: 1, stored: 1, dropped: {} })
    const second = await create('node', { clock, args })
    second.follow((await use(lines('out'))).state())
    await expect.poll(() => written('out')).toEqual(['/kept'])
  })
})

describe('reports over Redis', () => {
  async function redis() {
    const server = await startRedis()
    ends.push(() => server.stop())
    const { link } = testLink(server.url, 1_000)
    ends.push(() => link.close())
    await untilUp(link)
    return { url: server.url, link }
  }

  it('are queued by a node, which delivers none, and delivered by a worker, which takes none', async () => {
    const parts = { clock: realClock, redis: await redis() }
    const node = await create('node', parts)
    const nodeConfig = await use(lines('node'))
    node.follow(nodeConfig.state())
    send(node, '/a', '/b')
    await expect.poll(async () => (await ledger(node)).intake).toMatchObject({ delivered: 2 })
    expect((await ledger(node)).handlers).toEqual({})
    const worker = await create('worker', parts)
    expect(worker.intake).toBeUndefined()
    worker.follow((await use(lines('worker'))).state())
    await expect.poll(() => written('worker')).toEqual(['/a', '/b'])
    expect(written('node')).toEqual([])
    const counted = { accepted: 2, delivered: 2, held: 0 }
    await expect.poll(async () => (await ledger(node)).handlers['lines.handler.istio-system']).toMatchObject(counted)
    expect((await ledger(worker)).intake).toBeUndefined()
  })

  it('are queued and delivered by one process that plays both', async () => {
    const all = await create('all', { clock: realClock, redis: await redis() })
    all.follow((await use(lines('all'))).state())
    send(all, '/a')
    await expect.poll(() => written('all')).toEqual(['/a'])
    all.follow((await use(lines('next'))).state())
    send(all, '/b')
    await expect.poll(() => written('next')).toEqual(['/b'])
  })

  it('tell readiness what is amiss with their queue, and leave the process ready: checks go on', async () => {
    const given = await redis()
    const health = new Health()
    const all = await create('all', { clock: realClock, redis: given, health })
    all.follow((await use(lines('all'))).state())
    expect(health.checks()).toEqual([{ name: 'report queue', ok: true, detail: 'ok' }])
    const detail = () => health.checks()[0]?.detail
    const set = (name: string, value: string) => given.link.run((client) => client.config('SET', name, value))
    await set('maxmemory', '1')
    await expect.poll(detail).toMatch(/^degraded: .*held in this node.*workers wait/)
    expect(health.ready).toBe(true)
    await set('maxmemory', '0')
    await set('maxmemory-policy', 'allkeys-lru')
    await expect.poll(detail).toMatch(/^degraded: Redis throws reports away[^;]*noeviction[^;]*$/)
    await set('maxmemory-policy', 'noeviction')
    await expect.poll(detail).toBe('ok')
  })
})
