import { Queue } from 'bullmq'
import { afterEach, describe, expect, it } from 'vitest'
import { readRecord, revocationKeys } from '../../src/cache/revocation-log.ts'
import { RevocationService } from '../../src/cache/revocation-service.ts'
import { Revocations } from '../../src/cache/revocations.ts'
import { pause } from '../../src/kernel/deadline.ts'
import type { ReportAck } from '../../src/kernel/services.ts'
import { connectRedis } from '../../src/redis/connection.ts'
import { createRedisClient } from '../../src/redis/create-client.ts'
import { Replication } from '../../src/redis/replication.ts'
import { parcelFromJob } from '../../src/telemetry/parcel.ts'
import { queueNames } from '../../src/telemetry/queue-names.ts'
import { QueueShards } from '../../src/telemetry/queue-shards.ts'
import { ReportIntake } from '../../src/telemetry/report-intake.ts'
import { ReportQueue } from '../../src/telemetry/report-queue.ts'
import { REPORT_FORMATS } from '../../src/wire/report-formats.ts'
import { startCluster } from '../helpers/redis-cluster.ts'
import type { RedisProcesses } from '../helpers/redis-fleet.ts'
import { startSentinel } from '../helpers/redis-sentinel.ts'
import { fixedRandom, KeptLog, ReadableMeter, realClock, until, untilUp } from '../redis/support.ts'
import { batchTo } from '../workers/support.ts'

const RULES = 'a'.repeat(64)
const SENDERS = 6

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

/** A node's side of reports and revocations, over a real Redis. */
function nodeOver(url: string, own = 1) {
  const meter = new ReadableMeter()
  const ports = { clock: realClock, random: fixedRandom, log: new KeptLog(), meter }
  const link = connectRedis({ access: { url }, role: 'queue', commandTimeoutMs: 200, ...ports })
  const replication = new Replication({ ...ports, link, access: { url }, role: 'queue', replicas: 1 })
  const shards = new QueueShards({ link, clock: realClock, own })
  const queue = new ReportQueue({ ...ports, link, replication, shards })
  const intake = new ReportIntake({ ...ports, sink: queue, formats: REPORT_FORMATS, rules: () => RULES })
  closing.push(async () => {
    await intake.flush(100)
    await queue.close()
    replication.close()
    link.close()
  })
  return { ...ports, link, replication, intake }
}

/** Sends one batch after the other until it is told to stop, and keeps the ids of those that were acknowledged. */
function load(intake: ReportIntake, ack: ReportAck) {
  const acknowledged = new Set<string>()
  const state = { isOver: false }
  const send = async () => {
    while (!state.isOver) {
      const batch = batchTo('a', 2)
      const refusal = await intake.accept(batch, ack)
      if (refusal === undefined) acknowledged.add(batch.id)
      else await pause(realClock, 20)
    }
  }
  const senders = Array.from({ length: SENDERS }, send)
  return {
    acknowledged,
    async stop() {
      state.isOver = true
      await Promise.all(senders)
    },
  }
}

/** Ids of all batches that wait in the shards of the queue. */
async function queuedIn(url: string, shards = 1): Promise<ReadonlySet<string>> {
  const connection = createRedisClient({ url }, { enableOfflineQueue: true, maxRetriesPerRequest: null })
  connection.on('error', () => undefined)
  const names = queueNames()
  const ids = new Set<string>()
  for (let shard = 0; shard < shards; shard++) {
    const name = names.reports(RULES, shard)
    const queue = new Queue(name, { connection, prefix: names.keyPrefix(name) })
    for (const job of await queue.getJobs(['waiting']))
      for (const { id } of parcelFromJob(job.data).batches) ids.add(id)
    await queue.close()
  }
  connection.disconnect()
  return ids
}

/** What the master takes from now on reaches no replica: not even what would wait in their sockets. */
async function cutOff(servers: RedisProcesses, master: number, replicas: readonly number[]): Promise<void> {
  for (const port of replicas) servers.pause(port)
  await servers.ask(master, 'CLIENT', 'KILL', 'TYPE', 'replica')
}

const missing = (acknowledged: ReadonlySet<string>, there: ReadonlySet<string>) =>
  [...acknowledged].filter((id) => !there.has(id)).length

describe('what was acknowledged as replicated, when the master dies', () => {
  it('is in the master that Sentinel chooses, while what was only queued may be lost', async () => {
    const sentinel = await startSentinel({ replicas: 2 })
    closing.push(() => sentinel.stop())
    const { intake, replication } = nodeOver(sentinel.url)
    const [replicated, queued] = [load(intake, 'replicated'), load(intake, 'queued')]
    await until(() => replicated.acknowledged.size > 200 && queued.acknowledged.size > 200, 'both are taken')
    const [master = 0, ...replicas] = sentinel.servers
    await cutOff(sentinel, master, replicas)
    const before = queued.acknowledged.size
    await until(() => queued.acknowledged.size > before + 50, 'reports are queued that no replica has')
    await sentinel.kill(master)
    for (const port of replicas) sentinel.resume(port)
    await sentinel.untilPromoted(master)
    const since = replicated.acknowledged.size
    await until(() => replicated.acknowledged.size > since + 200, 'reports are taken again', 20_000)
    await Promise.all([replicated.stop(), queued.stop()])
    const there = await queuedIn(sentinel.url)
    expect(missing(replicated.acknowledged, there)).toBe(0)
    expect(missing(queued.acknowledged, there)).toBeGreaterThan(50)
    expect(replication.troubleOf(queueNames().metaKey(queueNames().reports(RULES)))).toBeUndefined()
  })

  it('is in the replica that a cluster promotes, of each shard of the queue', async () => {
    const cluster = await startCluster({ masters: 3, replicas: 1 })
    closing.push(() => cluster.stop())
    const { intake } = nodeOver(cluster.url, 3)
    const replicated = load(intake, 'replicated')
    await until(() => replicated.acknowledged.size > 300, 'reports are taken')
    const names = queueNames()
    const master = await cluster.ownerOf(names.metaKey(names.reports(RULES, 1)))
    const [heir = 0] = await cluster.replicasOf(master)
    await cutOff(cluster, master, [heir])
    const before = replicated.acknowledged.size
    await until(() => replicated.acknowledged.size > before + 20, 'other shards take reports')
    await cluster.kill(master)
    cluster.resume(heir)
    await until(async () => (await cluster.masters()).includes(heir), 'the replica is promoted', 20_000)
    const since = replicated.acknowledged.size
    await until(() => replicated.acknowledged.size > since + 300, 'reports are taken again', 20_000)
    await replicated.stop()
    expect(missing(replicated.acknowledged, await queuedIn(cluster.url, 3))).toBe(0)
  })

  it('holds for revocations: none is confirmed that only the master has', async () => {
    const sentinel = await startSentinel({ replicas: 2 })
    closing.push(() => sentinel.stop())
    const { link, replication, ...ports } = nodeOver(sentinel.url)
    await untilUp(link)
    const keys = revocationKeys('test')
    const options = { ...ports, link, prefix: 'test', partitionMaxAgeMs: 30_000, siblings: undefined }
    const service = (nodeId: string, extra: object) =>
      new RevocationService({ ...options, ...extra, nodeId, revocations: new Revocations() })
    const careful = service('careful', { replication })
    await careful.start()
    closing.push(() => careful.stop())
    const confirmed = new Set<string>()
    const revoke = async (handler: string) => {
      const target = { kind: 'handler', handler } as const
      await careful.revoke(target).then(
        () => confirmed.add(handler),
        () => undefined,
      )
    }
    await revoke('first')
    expect(confirmed).toContain('first')
    const generation = async (port: number) => String(await sentinel.ask(port, 'GET', keys.head)).split(' ')[0]
    const [master = 0, ...replicas] = sentinel.servers
    const began = await generation(master)
    await cutOff(sentinel, master, replicas)
    await expect(careful.revoke({ kind: 'handler', handler: 'unsafe' })).rejects.toThrow(
      /is recorded, but may be lost with the server of Redis: 1 replica of Redis must take what it is written: it has 0/,
    )
    const last = revoke('last')
    await sentinel.kill(master)
    for (const port of replicas) sentinel.resume(port)
    const heir = await sentinel.untilPromoted(master)
    await last
    await until(async () => {
      await revoke('after')
      return confirmed.has('after')
    }, 'revocations are confirmed again')
    const records = (await sentinel.ask(heir, 'ZRANGE', keys.log, 0, -1)) as string[]
    const there = records.map((record) => readRecord(record, Number.MAX_SAFE_INTEGER)?.target)
    // A log that begins anew voids every verdict.
    const isAnew = (await generation(heir)) !== began
    if (!isAnew) for (const handler of confirmed) expect(there).toContainEqual({ kind: 'handler', handler })
    expect(there).toContainEqual({ kind: 'handler', handler: 'after' })
  })
})
