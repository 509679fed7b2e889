// Shards of report queues over the masters of a real cluster.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ExportWishes } from '../../src/adapter-kit/exporter/limits.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { Replication } from '../../src/redis/replication.ts'
import { jobsIn } from '../../src/telemetry/jobs-in.ts'
import { parcelOf } from '../../src/telemetry/parcel.ts'
import { queueNames } from '../../src/telemetry/queue-names.ts'
import { QueueShards } from '../../src/telemetry/queue-shards.ts'
import { QueueStanding } from '../../src/telemetry/queue-standing.ts'
import { RedisLedger } from '../../src/telemetry/redis-ledger.ts'
import { ReportQueue } from '../../src/telemetry/report-queue.ts'
import { WorkerMemory } from '../../workers/worker-memory.ts'
import { WorkerRuntime } from '../../workers/worker-runtime.ts'
import { type RedisCluster, startCluster } from '../helpers/redis-cluster.ts'
import { fixedRandom, KeptLog, ReadableMeter, realClock, testLink, until, untilUp } from '../redis/support.ts'
import { batchTo, CountingHandler, dispatchByName, jsonFormats, snapshotOf } from './support.ts'

const MAX_MEMORY = 64 * 1024 * 1024

let cluster: RedisCluster
let link: RedisLink
const ends: (() => Promise<void> | void)[] = []

beforeEach(async () => {
  // As an operator sets it who wants the other slots to go on while a master is away.
  const args = ['--cluster-require-full-coverage', 'no', '--maxmemory', String(MAX_MEMORY)]
  cluster = await startCluster({ replicas: 0, args })
  link = await open()
})

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
  await cluster.stop()
})

async function open(): Promise<RedisLink> {
  const opened = testLink(cluster.url, 500).link
  ends.push(() => opened.close())
  await untilUp(opened)
  return opened
}

const ports = () => ({ clock: realClock, log: new KeptLog(), meter: new ReadableMeter() })

function startNode(own: number, prefix: string, to: RedisLink = link, ordered = false) {
  const shards = new QueueShards({ link: to, clock: realClock, prefix, own })
  const queue = new ReportQueue({ link: to, ...ports(), prefix, shards, ordered: () => ordered })
  ends.push(() => queue.close())
  return queue
}

async function startWorker(
  own: number,
  prefix: string,
  handlers: Record<string, CountingHandler>,
  { wishes, replication }: { readonly wishes?: ExportWishes; readonly replication?: Replication } = {},
) {
  const to = await open()
  const runtime = new WorkerRuntime({
    redis: { url: cluster.url },
    link: to,
    ...ports(),
    random: fixedRandom,
    prefix,
    ...(replication === undefined ? {} : { replication }),
    shards: new QueueShards({ link: to, clock: realClock, prefix, own }),
    formats: jsonFormats,
    dispatchFor: dispatchByName,
    tuning: { maintenanceMs: 50, retries: { firstDelayMs: 10 } },
  })
  ends.push(() => runtime.stop(500))
  const names = Object.keys(handlers)
  runtime.start(snapshotOf(names, 5_000, wishes), new Map(Object.entries(handlers)))
  return { runtime, rules: snapshotOf(names).reportDigest }
}

/** Adds a parcel of one record under an id, as often as it takes. */
async function add(queue: ReportQueue, handler: string, id: string, rules: string, replicated = false): Promise<void> {
  const parcel = { ...parcelOf([batchTo(handler, 1, id)], id, 0, rules), ...(replicated ? { replicated } : {}) }
  const isAdded = () =>
    queue.add(parcel).then(
      () => true,
      () => false,
    )
  await until(isAdded, `${id} is added`)
}

/** How many jobs a queue has had; `null` for none. */
function addedTo(queue: string): Promise<string | null> {
  return link.run((client) => client.get(`${queueNames().keyPrefix(queue)}:${queue}:id`))
}

/** Ports of the masters that own what is not cut into shards, and of those that own the shards of reports. */
async function ownersUnder(prefix: string) {
  const names = queueNames(prefix)
  const bases = [names.ledger.totals, names.shards, names.keyPrefix(names.deadLetters)]
  const base = new Set(await Promise.all(bases.map((key) => cluster.ownerOf(key))))
  const shardKeys = [0, 1, 2].map((shard) => names.keyPrefix(names.reports(undefined, shard)))
  return { base, shards: await Promise.all(shardKeys.map((key) => cluster.ownerOf(key))) }
}

describe('report queues in shards', () => {
  it('lie on all masters, and a handler has no more calls at once than without', async () => {
    const queue = startNode(3, 'spread')
    const rules = snapshotOf(['a']).reportDigest
    for (let i = 0; i < 60; i++) await add(queue, 'a', `n-1-${i}`, rules)
    const { shards } = await ownersUnder('spread')
    expect(new Set(shards).size).toBe(3)
    const names = queueNames('spread')
    for (const shard of [0, 1, 2]) {
      const name = names.reports(rules, shard)
      const key = `${names.keyPrefix(name)}:${name}:wait`
      expect(await link.run((client) => client.llen(key))).toBeGreaterThan(5)
    }
    let [calls, most] = [0, 0]
    const handler = new CountingHandler()
    const slow = {
      report: {
        metric: async (...given: Parameters<CountingHandler['report']['metric']>) => {
          most = Math.max(most, ++calls)
          await new Promise((resolve) => setImmediate(resolve))
          handler.report.metric(...given)
          calls--
        },
      },
    } as unknown as CountingHandler
    await startWorker(3, 'spread', { a: slow })
    await until(() => handler.total === 60, 'all are delivered')
    expect(most).toBeLessThanOrEqual(4)
    expect((await new RedisLedger(link, 'spread').read()).get('a')).toMatchObject({ accepted: 60, delivered: 60 })
  })

  it('go on while the master of a shard does not answer, and deliver what lay there, once, when it does', async () => {
    let prefix = ''
    let away: number | undefined
    for (let i = 0; away === undefined; i++) {
      prefix = `away${i}`
      const { base, shards } = await ownersUnder(prefix)
      away = shards.find((port) => !base.has(port))
    }
    const handler = new CountingHandler()
    const { rules } = await startWorker(3, prefix, { a: handler })
    const queue = startNode(3, prefix)
    for (let i = 0; i < 30; i++) await add(queue, 'a', `n-1-${i}`, rules)
    await until(() => handler.total === 30, 'all are delivered')
    cluster.pause(away)
    for (let i = 30; i < 90; i++) await add(queue, 'a', `n-1-${i}`, rules)
    // Some may lie in the shard that is away, and were added again elsewhere.
    await until(() => handler.total >= 85, 'the other shards go on', 20_000)
    cluster.resume(away)
    await until(() => handler.total === 90, 'the rest comes when it is back', 20_000)
    const ledger = new RedisLedger(link, prefix)
    const isSettled = async () => {
      const { accepted, delivered, held } = (await ledger.read()).get('a') ?? { accepted: 0, delivered: 0, held: -1 }
      return accepted === 90 && delivered === 90 && held === 0
    }
    await until(isSettled, 'each was counted once')
    expect(handler.batches.size).toBe(90)
  })

  it('take a batch once whose replicas are missing: it is there, and belongs into no other shard', async () => {
    const handler = new CountingHandler()
    const replication = new Replication({
      link,
      access: { url: cluster.url },
      role: 'queue',
      replicas: 1,
      ...ports(),
      random: fixedRandom,
    })
    ends.push(() => replication.close())
    const { rules } = await startWorker(3, 'few-replicas', { a: handler }, { replication })
    const queue = startNode(3, 'few-replicas')
    await add(queue, 'a', 'n-1-1', rules, true)
    await until(() => handler.total === 1, 'it is delivered')
    const names = queueNames('few-replicas')
    const arrived = () => new RedisLedger(link, 'few-replicas').read()
    await until(async () => (await arrived()).get('a')?.delivered === 1, 'it is counted')
    // The fan-out goes on asking for replicas until then: its job is gone once it has ended.
    await until(
      async () =>
        (await jobsIn(
          link,
          names,
          [0, 1, 2].map((shard) => names.reports(rules, shard)),
        )) === 0,
      'the fan-out ends',
      15_000,
    )
    const had = await Promise.all([0, 1, 2].map((shard) => addedTo(names.deliver('a', shard))))
    expect(had.filter((jobs) => jobs !== null)).toHaveLength(1)
  })

  it('are reckoned by the memory of their servers, though these were not known at first', async () => {
    const early = testLink(cluster.url, 500).link
    ends.push(() => early.close())
    const standing = new QueueStanding(new KeptLog())
    const memory = new WorkerMemory({ link: early, ...ports(), random: fixedRandom, standing, queue: 'any' })
    ends.push(() => memory.close())
    expect(memory.deadLetterShare).toBeGreaterThan(0.08 * MAX_MEMORY)
    await until(() => memory.deadLetterShare === Math.floor(0.08 * MAX_MEMORY), 'the share is that of a server')
  })

  it('are served where a worker itself wants fewer than nodes use', async () => {
    const handler = new CountingHandler()
    const { rules } = await startWorker(1, 'few', { a: handler })
    const queue = startNode(6, 'few')
    for (let i = 0; i < 40; i++) await add(queue, 'a', `n-1-${i}`, rules)
    await until(() => handler.total === 40, 'all are delivered')
  })

  it('are not used for what is wanted in order: one batch at a time, all in one queue', async () => {
    let [calls, most] = [0, 0]
    const seen = new Set<string>()
    const inOrder = {
      report: {
        metric: async (_: unknown, { batchId }: { readonly batchId: string }) => {
          most = Math.max(most, ++calls)
          await new Promise((resolve) => setImmediate(resolve))
          seen.add(batchId)
          calls--
        },
      },
    } as unknown as CountingHandler
    const rules = snapshotOf(['a']).reportDigest
    const queue = startNode(3, 'order', link, true)
    for (let i = 0; i < 50; i++) await add(queue, 'a', `n-1-${i}`, rules)
    const names = queueNames('order')
    const reports = await Promise.all([0, 1, 2].map((shard) => addedTo(names.reports(rules, shard))))
    expect(reports.filter((jobs) => jobs !== null)).toEqual(['50'])
    await startWorker(3, 'order', { a: inOrder }, { wishes: { ordered: true } })
    await startWorker(3, 'order', { a: inOrder }, { wishes: { ordered: true } })
    await until(() => seen.size === 50, 'all are delivered', 30_000)
    expect(most).toBe(1)
    const deliveries = await Promise.all([0, 1, 2].map((shard) => addedTo(names.deliver('a', shard))))
    expect(deliveries).toEqual(['50', null, null])
  })
})
