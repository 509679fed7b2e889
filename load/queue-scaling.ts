// How report queues grow with masters of a Redis Cluster and with workers: `node load/queue-scaling.ts --help`.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { builtInAdapters } from '../src/adapters/index.ts'
import { compileSnapshot } from '../src/config/compile-snapshot.ts'
import { parseConfigText } from '../src/config/parse-text.ts'
import { MapBag } from '../src/kernel/attribute-bag.ts'
import { createLogger } from '../src/observe/logger.ts'
import { createMeter } from '../src/observe/meter.ts'
import { systemClock as clock } from '../src/kernel/system-clock.ts'
import { connectRedis, type RedisLink } from '../src/redis/connection.ts'
import { parcelOf } from '../src/telemetry/parcel.ts'
import { QueueShards } from '../src/telemetry/queue-shards.ts'
import { RedisLedger } from '../src/telemetry/redis-ledger.ts'
import { ReportQueue } from '../src/telemetry/report-queue.ts'
import { encodeRecords } from '../src/wire/record-json.ts'
import { startCluster } from '../test/helpers/redis-cluster.ts'
import { configObject, documents } from './config-text.ts'
import { runCommand } from './kit/command.ts'
import { medianOf } from './kit/pairs.ts'
import { cpuSeconds } from './kit/process-usage.ts'
import { boundProcessor } from './kit/processor-share.ts'
import { printTable, saveResults, say } from './output.ts'
import { type Running, start } from './processes.ts'

const help = `node load/queue-scaling.ts [--quick] [OPTIONS]: parcels a second through the report queues, by masters, shards and workers

  --masters N,…      masters of the cluster; default 1,2,3
  --shards N,…       --report-queue-shards; default 1,3
  --workers N,…      worker processes; default 1,2,4
  --redis-share P    of a core, for each redis-server, while masters are compared; default 0.02
  --worker-share P   of a core, for each worker, while workers are compared; default 0.03
  --parcels N        parcels of a round; default 1000
  --rounds N         default 3; the median is told, and the spread
  --quick            one round of 500 parcels

Parcels are put into the queues first; then workers take them: one job in, its evaluation, one job for one handler (noop), two
calls of the ledger. Told is the rate between the first tenth and the last. What is to be the bottleneck is bounded to
a share of a core, all else is not: on a machine with few cores all would share what there is. Beside it, which does not
depend on what else the machine does: the processor time of the busiest master, in ms for 1,000 parcels.`

const options = {
  masters: { type: 'string', default: '1,2,3' },
  shards: { type: 'string', default: '1,3' },
  workers: { type: 'string', default: '1,2,4' },
  'redis-share': { type: 'string', default: '0.02' },
  'worker-share': { type: 'string', default: '0.03' },
  parcels: { type: 'string', default: '1000' },
  rounds: { type: 'string', default: '3' },
  quick: { type: 'boolean', default: false },
} as const

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const HANDLER = 'sink.handler.istio-system'
const AT_ONCE = 64
const LOOK_EVERY_MS = 50
const STUCK_AFTER_MS = 120_000
const PREFIX = 'load-scaling'
const silent = createLogger({ level: 'error', format: 'json', write: () => undefined, terminal: false })

const CONFIG = documents(
  configObject('attributemanifest', 'scaling', { attributes: { 'request.id': { valueType: 'STRING' } } }),
  configObject('instance', 'counted', {
    compiledTemplate: 'metric',
    params: { value: '1', dimensions: { id: 'request.id' } },
  }),
  configObject('handler', 'sink', { compiledAdapter: 'noop', params: {} }),
  configObject('rule', 'all', { actions: [{ handler: 'sink', instances: ['counted'] }] }),
)

interface Arm {
  readonly masters: number
  readonly shards: number
  readonly workers: number
  /** Of a core; `undefined`: not bounded. */
  readonly redisShare?: number
  readonly workerShare?: number
}

interface Round {
  readonly perSecond: number
  readonly parcels: number
  /** Processor seconds of each master. */
  readonly masters: readonly number[]
  readonly workers: number
  readonly how: string
}

interface Row extends Arm {
  readonly rounds: readonly Round[]
}

type Defer = (end: () => unknown) => void

const numbers = (text: string) => text.split(',').map(Number)

await runCommand({ options, help }, async (values, defer) => {
  const [parcels, rounds] = values.quick ? [500, 1] : [Number(values.parcels), Number(values.rounds)]
  const folder = await mkdtemp(join(tmpdir(), 'intermix-queue-scaling-'))
  defer(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'config.yaml'), CONFIG)
  const [redisShare, workerShare] = [Number(values['redis-share']), Number(values['worker-share'])]
  const arms: readonly Arm[] = [
    ...numbers(values.masters).flatMap((masters) =>
      numbers(values.shards).map((shards) => ({ masters, shards, workers: 4, redisShare })),
    ),
    ...numbers(values.workers).map((workers) => ({ masters: 3, shards: 3, workers, workerShare })),
  ]
  const rows: Row[] = arms.map((arm) => ({ ...arm, rounds: [] }))
  // In turn, so that what else the machine does falls on all of them.
  for (let round = 0; round < rounds; round++) {
    for (const [i, arm] of arms.entries()) {
      const ends: (() => unknown)[] = []
      const end = async () => {
        for (const each of ends.splice(0).toReversed()) await each()
      }
      defer(end)
      const found = await runRound(arm, { parcels, folder }, (each) => ends.push(each))
      await end()
      rows[i] = { ...(rows[i] as Row), rounds: [...(rows[i] as Row).rounds, found] }
      say(`round ${round + 1}: ${JSON.stringify(arm)}: ${found.perSecond.toFixed(0)} parcels/s`)
    }
  }
  say(`${parcels} parcels a round, ${rounds} rounds; bounded by ${rows[0]?.rounds[0]?.how}`)
  printTable(rows.map(shown))
  await saveResults('queue-scaling', { parcels, rows })
})

function shown({ masters, shards, workers, redisShare, workerShare, rounds }: Row) {
  const rates = rounds.map(({ perSecond }) => perSecond)
  const shares = rounds.map((round) => round.masters)
  const busiest = medianOf(shares.map((each) => Math.max(...each) / each.reduce((sum, part) => sum + part, 0)))
  return {
    masters,
    shards,
    workers,
    bound: redisShare === undefined ? `workers ${workerShare} of a core` : `masters ${redisShare} of a core`,
    'parcels/s': medianOf(rates).toFixed(0),
    spread: `${Math.min(...rates).toFixed(0)} to ${Math.max(...rates).toFixed(0)}`,
    'busiest master': `${(100 * busiest).toFixed(0)} %`,
    'its ms/1000': medianOf(rounds.map((round) => (1e6 * Math.max(...round.masters)) / round.parcels)).toFixed(0),
    'workers ms/1000': medianOf(rounds.map((round) => (1e6 * round.workers) / round.parcels)).toFixed(0),
  }
}

async function runRound(
  arm: Arm,
  { parcels, folder }: { readonly parcels: number; readonly folder: string },
  defer: Defer,
): Promise<Round> {
  const cluster = await startCluster({ masters: arm.masters, replicas: 0, args: ['--appendonly', 'no'] })
  defer(() => cluster.stop())
  const link = connectRedis({
    access: { url: cluster.url },
    role: 'queue',
    commandTimeoutMs: 5_000,
    clock,
    random: Math.random,
    log: silent,
    meter: createMeter(),
  })
  defer(() => link.close())
  await new Promise<void>((resolve) => link.onUp(resolve))
  await fill(link, parcels, arm.shards)
  const masters = await cluster.masters()
  const pids = masters.map((port) => cluster.pid(port))
  const bounds = arm.redisShare === undefined ? [] : pids.map((pid) => boundProcessor(pid, arm.redisShare ?? 1))
  for (const bound of bounds) defer(() => bound.release())
  const workers = await Promise.all(
    Array.from({ length: arm.workers }, async (_, i) => {
      const worker = await startWorker(i, cluster.url, folder, arm)
      defer(() => worker.kill())
      return worker
    }),
  )
  const workerBounds = workers.flatMap(({ pid }) =>
    arm.workerShare === undefined ? [] : [boundProcessor(pid, arm.workerShare)],
  )
  for (const bound of workerBounds) defer(() => bound.release())
  const used = (all: readonly number[]) => all.map((pid) => cpuSeconds([pid]))
  const delivered = deliveries(link)
  await untilDelivered(delivered, parcels * 0.1)
  const [from, before, at] = [await delivered(), used(pids), performance.now()]
  const workersBefore = cpuSeconds(workers.map(({ pid }) => pid))
  await untilDelivered(delivered, parcels * 0.9)
  const [to, after, seconds] = [await delivered(), used(pids), (performance.now() - at) / 1_000]
  return {
    perSecond: (to - from) / seconds,
    parcels: to - from,
    masters: after.map((each, i) => each - (before[i] ?? 0)),
    workers: cpuSeconds(workers.map(({ pid }) => pid)) - workersBefore,
    how: [...bounds, ...workerBounds][0]?.how ?? 'nothing',
  }
}

/** Puts parcels of one record each into the queue of reports. */
async function fill(link: RedisLink, parcels: number, own: number): Promise<void> {
  const { snapshot } = compileSnapshot(parseConfigText('config.yaml', CONFIG), { adapters: builtInAdapters() })
  if (snapshot === undefined) throw new Error('the config of the scenario is not valid')
  const shards = new QueueShards({ link, clock, prefix: PREFIX, own })
  const queue = new ReportQueue({ link, clock, log: silent, meter: createMeter(), prefix: PREFIX, shards })
  let next = 0
  const work = async () => {
    for (let number = next++; number < parcels; number = next++) {
      const payload = encodeRecords([MapBag.of({ 'request.id': `request-${number}` })])
      const batch = { id: `scaling-${number}`, format: 'attributes', count: 1, payload, acceptedAt: clock.now() }
      await queue.add(parcelOf([batch], batch.id, 0, snapshot.reportDigest))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  await queue.close()
}

function startWorker(number: number, url: string, config: string, { shards }: Arm): Promise<Running> {
  const flags = {
    '--config': config,
    '--queue-redis': url,
    '--cache-redis': 'none',
    '--redis-prefix': PREFIX,
    '--node-id': `worker-${number}`,
    '--report-queue-shards': String(shards),
    '--admin-address': '127.0.0.1:0',
    '--prometheus-address': '127.0.0.1:0',
    '--log-format': 'json',
    '--shutdown-timeout': '1s',
  }
  return start({
    command: process.execPath,
    args: ['bin/intermix.js', 'worker', ...Object.entries(flags).flat()],
    cwd: ROOT,
    env: { NODE_COMPILE_CACHE: join(tmpdir(), 'intermix-load-compile-cache') },
    ready: /"addresses":/,
  })
}

function deliveries(link: RedisLink): () => Promise<number> {
  const ledger = new RedisLedger(link, PREFIX)
  return async () => (await ledger.read()).get(HANDLER)?.delivered ?? 0
}

async function untilDelivered(delivered: () => Promise<number>, wanted: number): Promise<void> {
  let [best, since] = [-1, performance.now()]
  for (let now = await delivered(); now < wanted; now = await delivered()) {
    if (now > best) [best, since] = [now, performance.now()]
    if (performance.now() - since > STUCK_AFTER_MS) throw new Error(`only ${now} of ${wanted} are delivered`)
    await pause(LOOK_EVERY_MS)
  }
}
