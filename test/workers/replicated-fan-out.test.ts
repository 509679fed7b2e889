import { afterEach, expect, it } from 'vitest'
import { connectRedis } from '../../src/redis/connection.ts'
import { Replication } from '../../src/redis/replication.ts'
import { parcelOf } from '../../src/telemetry/parcel.ts'
import { queueNames } from '../../src/telemetry/queue-names.ts'
import { ReportQueue } from '../../src/telemetry/report-queue.ts'
import { WorkerRuntime } from '../../workers/worker-runtime.ts'
import { type RedisCluster, startCluster } from '../helpers/redis-cluster.ts'
import { fixedRandom, KeptLog, ReadableMeter, realClock, until, untilUp } from '../redis/support.ts'
import { batchTo, CountingHandler, dispatchByName, jsonFormats, snapshotOf } from './support.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

const names = queueNames()
const deliverKey = (handler: string) => names.metaKey(names.deliver(handler))

/** A handler whose queue is on another master than reports and the ledger are. */
async function farHandler(cluster: RedisCluster): Promise<string> {
  const others = await Promise.all(
    [names.metaKey(names.reports()), names.ledger.totals].map((key) => cluster.ownerOf(key)),
  )
  for (let i = 0; i < 100; i++) if (!others.includes(await cluster.ownerOf(deliverKey(`h${i}`)))) return `h${i}`
  throw new Error('no such handler')
}

it('a parcel that was promised as replicated stays until replicas have what became of it', async () => {
  const cluster = await startCluster({ masters: 3, replicas: 1 })
  closing.push(() => cluster.stop())
  const access = { url: cluster.url }
  const ports = { clock: realClock, random: fixedRandom, log: new KeptLog(), meter: new ReadableMeter() }
  const link = connectRedis({ access, role: 'queue', commandTimeoutMs: 1_000, ...ports })
  const replication = new Replication({ ...ports, link, access, role: 'queue', replicas: 1 })
  await untilUp(link)
  const name = await farHandler(cluster)
  const handler = new CountingHandler()
  const snapshot = snapshotOf([name])
  const runtime = new WorkerRuntime({
    ...ports,
    link,
    replication,
    redis: access,
    formats: jsonFormats,
    dispatchFor: dispatchByName,
  })
  const queue = new ReportQueue({ ...ports, link })
  closing.push(async () => {
    await runtime.stop(1_000)
    await queue.close()
    replication.close()
    link.close()
  })
  runtime.start(snapshot, new Map([[name, handler]]))
  const add = async (count: number, id: string) => {
    const parcel = { ...parcelOf([batchTo(name, count)], id, 0, snapshot.reportDigest), replicated: true }
    const isAdded = () =>
      queue.add(parcel).then(
        () => true,
        () => false,
      )
    await until(isAdded, 'the parcel is added')
  }
  await add(3, 'n-1-0')
  await until(() => handler.total === 3, 'the first is delivered')
  handler.failWith = () => new Error('away')
  const owner = await cluster.ownerOf(deliverKey(name))
  const [heir = 0] = await cluster.replicasOf(owner)
  cluster.pause(heir)
  await cluster.ask(owner, 'CLIENT', 'KILL', 'TYPE', 'replica')
  const calls = handler.calls
  await add(5, 'n-1-1')
  await until(() => handler.calls > calls, 'the master alone has the batch, and it was tried')
  // Nothing is lost by then but what may be: the parcel waits for the replica.
  await until(async () => ports.meter.value('redis_replicated_total', 'queue', 'too-few') > 0, 'the replica is missed')
  await cluster.kill(owner)
  cluster.resume(heir)
  await until(async () => (await cluster.masters()).includes(heir), 'the replica is promoted', 20_000)
  // With what it had heard the new master knows of no batch.
  handler.failWith = undefined
  await until(() => handler.total === 8, 'the second is delivered all the same', 40_000)
  expect([...handler.batches.values()]).toEqual([3, 5])
})
