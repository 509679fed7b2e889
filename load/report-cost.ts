// What a report costs: `node load/report-cost.ts --help`.

import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { runCommand } from './kit/command.ts'
import { medianOf } from './kit/pairs.ts'
import { cpuSeconds, memoryOf } from './kit/process-usage.ts'
import { printTable, saveResults, say } from './output.ts'
import { start } from './processes.ts'
import { startRedis } from './redis-process.ts'
import { accessLog, mixerReport, RECORDS } from './reports/records.ts'
import { openSender, type ReportDoor } from './reports/sender.ts'

const help = `node load/report-cost.ts [--quick] [OPTIONS]: processor seconds per million records, from the socket to the counted metric

  --arm NAME,…       all (one process, no Redis), split (node, Redis and worker); default both
  --door NAME,…      mixer (Report), als (access logs); default both
  --reports N        reports of ${RECORDS} records a round; default 2000
  --rounds N         default 3; the median is told
  --sets N           label sets; default 50
  --root FOLDER      another checkout of this program to measure
  --flags TEXT       flags of Node itself, as in --flags="--max-semi-space-size=32"
  --profile FOLDER   a CPU profile of each process, into that folder
  --quick            one round of 300 reports

The config is examples/istio/prometheus.yaml: four metrics of 19 labels for each request. User and system time of each
process, from when the first report is sent until Prometheus would see the last.`

const options = {
  arm: { type: 'string', default: 'all,split' },
  door: { type: 'string', default: 'mixer,als' },
  reports: { type: 'string', default: '2000' },
  rounds: { type: 'string', default: '3' },
  sets: { type: 'string', default: '50' },
  root: { type: 'string', default: fileURLToPath(new URL('..', import.meta.url)) },
  flags: { type: 'string', default: '' },
  profile: { type: 'string' },
  quick: { type: 'boolean', default: false },
} as const

/** Reports that may be in the queues; the rest waits here. */
const MAX_BACKLOG = 200
const AT_ONCE = 50
const UNDER_WAY = 8
const LOOK_EVERY_MS = 500
const STUCK_AFTER_MS = 60_000

interface Arm {
  /** By what the table calls it. */
  readonly pids: ReadonlyMap<string, number>
  readonly grpc: string
  /** Where Prometheus scrapes. */
  readonly metrics: string
}

type Defer = (end: () => Promise<unknown>) => void
interface Place {
  readonly root: string
  readonly config: string
  readonly flags: string
  readonly profile?: string | undefined
}

async function startRole(
  role: string,
  redis: string,
  { root, config, flags: nodeFlags, profile }: Place,
  defer: Defer,
) {
  const flags = {
    '--config': config,
    '--redis': redis,
    '--redis-prefix': 'load-cost',
    '--admin-address': '127.0.0.1:0',
    '--log-format': 'json',
    '--shutdown-timeout': '2s',
    ...(role === 'node' ? {} : { '--prometheus-address': '127.0.0.1:0' }),
    ...(role === 'worker' ? {} : { '--grpc-address': '127.0.0.1:0', '--http-address': '127.0.0.1:0' }),
  }
  const given = nodeFlags.split(' ').filter((flag) => flag !== '')
  const profiling = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', join(profile, role)]
  const child = await start({
    command: process.execPath,
    args: [...given, ...profiling, 'bin/intermix.js', role, ...Object.entries(flags).flat()],
    cwd: root,
    env: { NODE_COMPILE_CACHE: join(tmpdir(), 'intermix-load-compile-cache') },
    ready: /"addresses":(\{[^}]*\})/,
  })
  defer(() => child.stop())
  const { grpc = '', prometheus = '' } = JSON.parse(child.match[1] ?? '{}') as Readonly<Record<string, string>>
  return { pid: child.pid, grpc, metrics: `http://${prometheus}/metrics` }
}

async function startArm(arm: string, place: Place, defer: Defer): Promise<Arm> {
  if (arm === 'all') {
    const { pid, grpc, metrics } = await startRole('all', 'none', place, defer)
    return { pids: new Map([['all', pid]]), grpc, metrics }
  }
  const redis = await startRedis()
  defer(() => redis.stop())
  const node = await startRole('node', redis.url, place, defer)
  const worker = await startRole('worker', redis.url, place, defer)
  const pids = new Map([
    ['node', node.pid],
    ['redis', redis.pid()],
    ['worker', worker.pid],
  ])
  return { pids, grpc: node.grpc, metrics: worker.metrics }
}

/** Requests that Prometheus would count. */
async function counted({ metrics }: Arm): Promise<number> {
  const text = await (await fetch(metrics, { headers: { 'accept-encoding': 'identity' } })).text()
  let sum = 0
  for (const line of text.split('\n')) {
    if (line.startsWith('istio_requests_total{')) sum += Number(line.slice(line.lastIndexOf(' ') + 1))
  }
  return sum
}

async function untilCounted(arm: Arm, records: number): Promise<void> {
  let [best, since] = [-1, Date.now()]
  for (;;) {
    const now = await counted(arm)
    if (now > records) throw new Error(`${now} requests are counted, of ${records}`)
    if (now >= records) return
    if (now > best) [best, since] = [now, Date.now()]
    if (Date.now() - since > STUCK_AFTER_MS) throw new Error(`only ${now} of ${records} requests are counted`)
    await pause(LOOK_EVERY_MS)
  }
}

/** Sends so many reports in all, never far ahead of what is counted. @returns how many records have been sent since the start. */
async function sendAll(arm: Arm, payloads: readonly Uint8Array[], door: ReportDoor, before: number): Promise<number> {
  const sender = openSender(door, arm.grpc, UNDER_WAY)
  let sent = before
  try {
    for (let at = 0; at < payloads.length; at += AT_ONCE) {
      const piece = payloads.slice(at, at + AT_ONCE)
      await sender.send(piece)
      sent += piece.length * RECORDS
      await untilCountedNearly(arm, sent - MAX_BACKLOG * RECORDS)
    }
    await untilCounted(arm, sent)
  } finally {
    sender.close()
  }
  return sent
}

async function untilCountedNearly(arm: Arm, records: number): Promise<void> {
  if (records <= 0) return
  while ((await counted(arm)) < records) await pause(LOOK_EVERY_MS)
}

interface Figures {
  readonly arm: string
  readonly door: string
  readonly bytes: number
  /** Seconds a million records, by process. */
  readonly seconds: Readonly<Record<string, number>>
  readonly mib: number
}

await runCommand({ options, help }, async (values, defer) => {
  const [reports, rounds] = values.quick ? [300, 1] : [Number(values.reports), Number(values.rounds)]
  const config = await mkdtemp(join(tmpdir(), 'intermix-report-cost-'))
  defer(() => rm(config, { recursive: true, force: true }))
  for (const name of ['prometheus.yaml', 'attributes.yaml']) {
    await copyFile(join(values.root, 'examples/istio', name), join(config, name))
  }
  const figures: Figures[] = []
  for (const name of values.arm.split(',')) {
    for (const door of values.door.split(',') as ReportDoor[]) {
      const ends: (() => Promise<unknown>)[] = []
      const end = async () => {
        for (const each of ends.splice(0).toReversed()) await each()
      }
      defer(end)
      const arm = await startArm(name, { ...values, config }, (each) => ends.push(each))
      figures.push(await measure(name, arm, door, { reports, rounds, sets: Number(values.sets) }))
      await end()
    }
  }
  const processes = [...new Set(figures.flatMap(({ seconds }) => Object.keys(seconds)))]
  say(`CPU seconds per million records, ${values.sets} label sets, ${reports} reports of ${RECORDS} records a round`)
  printTable(
    figures.map(({ arm, door, bytes, seconds, mib }) => ({
      arm,
      door,
      'bytes/report': bytes,
      ...Object.fromEntries(processes.map((each) => [each, seconds[each]?.toFixed(1) ?? ''])),
      sum: Object.values(seconds)
        .reduce((sum, each) => sum + each, 0)
        .toFixed(1),
      'peak MiB': mib.toFixed(0),
    })),
  )
  await saveResults('report-cost', { reports, rounds, figures })
})

async function measure(
  name: string,
  arm: Arm,
  door: ReportDoor,
  { reports, rounds, sets }: { readonly reports: number; readonly rounds: number; readonly sets: number },
): Promise<Figures> {
  const encode = door === 'mixer' ? mixerReport : accessLog
  const payloads = Array.from({ length: reports }, (_, number) => encode(number, sets))
  let sent = await sendAll(arm, payloads, door, 0)
  const seconds = new Map<string, number[]>([...arm.pids.keys()].map((each) => [each, []]))
  for (let round = 0; round < rounds; round++) {
    const before = [...arm.pids.values()].map((pid) => cpuSeconds([pid]))
    sent = await sendAll(arm, payloads, door, sent)
    for (const [at, [each, pid]] of [...arm.pids].entries()) {
      const used = cpuSeconds([pid]) - (before[at] ?? 0)
      seconds.get(each)?.push((used * 1e6) / (reports * RECORDS))
    }
  }
  return {
    arm: name,
    door,
    bytes: Math.round(payloads.reduce((sum, { length }) => sum + length, 0) / reports),
    seconds: Object.fromEntries([...seconds].map(([each, all]) => [each, medianOf(all)])),
    mib: memoryOf([...arm.pids.values()]).peak / 2 ** 20,
  }
}
