import { afterEach, describe, expect, it } from 'vitest'
import type { RedisLink } from '../../src/redis/connection.ts'
import { RedisCounters } from '../../src/redis/counters/redis-counters.ts'
import { DeadLetters } from '../../src/telemetry/dead-letters.ts'
import { parcelOf } from '../../src/telemetry/parcel.ts'
import { QueueMemory } from '../../src/telemetry/queue-memory.ts'
import { LedgerAudit } from '../../src/telemetry/ledger-audit.ts'
import { NodeSigns } from '../../src/telemetry/node-signs.ts'
import { RedisLedger } from '../../src/telemetry/redis-ledger.ts'
import { MeshPresence } from '../../src/telemetry/mesh-presence.ts'
import { ReportQueue } from '../../src/telemetry/report-queue.ts'
import { WorkerRuntime } from '../../workers/worker-runtime.ts'
import type { RedisServer } from '../helpers/redis.ts'
import { startCluster, startMasters } from '../redis/cluster.ts'
import { fixedRandom, KeptLog, ReadableMeter, realClock, testLink, until, untilUp } from '../redis/support.ts'
import { batchTo, CountingHandler, dispatchByName, jsonFormats, snapshotOf } from './support.ts'

let redis: RedisServer | undefined
let link: RedisLink | undefined

const ends: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
  link?.close()
  await redis?.stop()
})

describe('reports on a Redis cluster', () => {
  it('are queued, delivered, counted and buried', async () => {
    redis = await startCluster()
    const redisUrl = `redis+cluster://127.0.0.1:${redis.port}`
    const opened = testLink(redisUrl, 2000).link
    link = opened
    await untilUp(opened)
    const ports = { link: opened, clock: realClock, log: new KeptLog(), meter: new ReadableMeter() }
    const ledger = new RedisLedger(opened)
    const self = () => ({
      id: 'all-1',
      rules: snapshot.reportDigest,
      adds: queue.adds,
      evaluates: runtime.evaluates,
      delivers: runtime.delivers,
    })
    const presence = new MeshPresence({
      ...ports,
      prefix: 'intermix',
      mesh: undefined,
      ledger,
      self,
      lookMs: 50,
      seesAll: true,
    })
    const queue = new ReportQueue({ ...ports, note: (rules) => presence.note(rules) })
    const snapshot = snapshotOf(['good', 'bad'])
    const [good, bad] = [new CountingHandler(), new CountingHandler()]
    bad.failWith = () => new Error('away')
    const runtime: WorkerRuntime = new WorkerRuntime({
      watch: presence.watch,
      onChange: () => presence.tell(),
      redis: { url: redisUrl },
      ...ports,
      random: fixedRandom,
      formats: jsonFormats,
      dispatchFor: dispatchByName,
      tuning: { retries: { firstDelayMs: 10, maxAgeMs: 0 } },
    })
    const handlers = new Map([
      ['good', good],
      ['bad', bad],
    ])
    runtime.start(snapshot, handlers)
    const signs = new NodeSigns({ ...ports, process: 'n-1', node: 'n' })
    const counted = signs.counting(queue)
    const none = { recovered: 0, held: 0, stored: 0, dropped: {}, refused: {} }
    signs.start(() => ({ ...none, accepted: 34, delivered: 34 }))
    const parcel = parcelOf([batchTo('good', 30), batchTo('bad', 4)], 'n-1-0', 0, snapshot.reportDigest)
    const add = () =>
      counted.add(parcel).then(
        () => true,
        () => false,
      )
    await until(add, 'the parcel is added')
    await until(async () => (await ledger.read()).get('good')?.delivered === 30, 'one is delivered')
    await until(async () => (await ledger.read()).get('bad')?.deadLetters === 4, 'the other one is dead')
    const letters = new DeadLetters({ link: opened, ledger })
    const [letter] = await letters.list({ limit: 10 })
    bad.failWith = undefined
    await letters.replay(letter?.id ?? '')
    await until(() => bad.total === 4, 'the replayed one is delivered')
    const counters = new RedisCounters({ link: opened, clock: realClock, handler: 'good' })
    const group = { name: 'g', maxFields: 10, overflow: 'other', maxBytes: 1_000_000 }
    await counters.apply('b-1', [{ group, field: 'x', add: [1] }])
    const { registers } = await counters.held()
    expect([...registers.values()].map((groups) => groups.get('g')?.get('x')?.numbers)).toEqual([[1]])
    await counters.close()
    const served = {
      members: [{ id: 'all-1' }],
      queues: expect.arrayContaining([expect.objectContaining({ servedBy: ['all-1'] })]),
    }
    await expect.poll(() => presence.look()).toMatchObject(served)
    await signs.end()
    const audit = new LedgerAudit(ports)
    const node = { process: 'n-1', state: 'ended', accepted: 34, arrived: 34 }
    await expect.poll(() => audit.look()).toMatchObject({ nodes: [node], findings: [] })
    await audit.close()
    await runtime.stop(1000)
    await presence.stop()
    await letters.close()
    await queue.close()
  })

  it('look at the memory of the server that owns their queue', async () => {
    const masters = await startMasters(2)
    ends.push(...masters.map((master) => () => master.stop()))
    const limits = [100_000_000, 200_000_000]
    for (const [i, { url }] of masters.entries()) {
      const own = testLink(url).link
      await untilUp(own)
      await own.run((client) => client.config('SET', 'maxmemory', String(limits[i])))
      own.close()
    }
    const { link: opened } = testLink(`redis+cluster://127.0.0.1:${masters[0]?.port}`, 5000)
    ends.push(async () => opened.close())
    await untilUp(opened)
    const found = new Set<number>()
    for (let i = 0; i < 20; i++) {
      const queue = `queue-${i}`
      const slot = await opened.run((client) => client.cluster('KEYSLOT', queue))
      const { limit } = await new QueueMemory({ link: opened, queue: () => queue }).look()
      expect(limit).toBe(limits[slot < 8192 ? 0 : 1])
      found.add(limit)
    }
    expect(found.size).toBe(2)
  })
})
