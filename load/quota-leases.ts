// What it costs to hold amounts of a limit ahead of need, and what it lets pass: `node load/quota-leases.ts --help`.

import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { LimitCharge, LimitRule } from '../src/adapter-kit/limits.ts'
import { createLogger } from '../src/observe/logger.ts'
import { createMeter } from '../src/observe/meter.ts'
import { systemClock as clock, systemRandom as random } from '../src/kernel/system-clock.ts'
import { ChargingProcesses } from '../src/quota/charging-processes.ts'
import { MemoryLimits } from '../src/quota/memory-limits.ts'
import { NodeLimits } from '../src/quota/node-limits.ts'
import { QuotaMetrics } from '../src/quota/quota-metrics.ts'
import { RedisLimits } from '../src/quota/redis-limits.ts'
import { connectRedis } from '../src/redis/connection.ts'
import { runCommand } from './kit/command.ts'
import { cpuSeconds } from './kit/process-usage.ts'
import { printTable, saveResults, say } from './output.ts'
import { startRedis } from './redis-process.ts'

const help = `node load/quota-leases.ts [OPTIONS]: nodes that hold amounts of one limit ahead of need, beside nodes that ask for each request

  --nodes N           each with a connection of its own; default 8
  --limit N           how much a second; default 1000
  --times N           requests a second over all nodes, in limits; default 10
  --accuracy A,…      shares of the limit; 0 is exact; default 0,0.01,0.05,0.1
  --seconds N         length of a run, after one of warming up; default 5
  --rounds N          all rows in turn, so often; default 3

"beyond" is what an exact limit that sees each grant when it is given would have refused, "measured" what the nodes say of that, both in
percent of what the limit allows in that time, as "granted" is. "asked" are questions to Redis for each request, and "calls" runs of a
script, in each of which there may be several. Processor time is that of this process, which is all nodes and who asks them, and that
of Redis, for each request. A process that is too busy hears of grants late, which looks like "beyond".`

const options = {
  nodes: { type: 'string', default: '8' },
  limit: { type: 'string', default: '1000' },
  times: { type: 'string', default: '10' },
  accuracy: { type: 'string', default: '0,0.01,0.05,0.1' },
  seconds: { type: 'string', default: '5' },
  rounds: { type: 'string', default: '3' },
} as const

const MEASURED = 'intermix_quota_held_overshoot_total'
const ASKED = 'intermix_quota_redis_calls_total'
const WARM_UP_MS = 1_000

interface Run {
  readonly name: string
  readonly charges: readonly LimitCharge[]
  readonly nodes: number
  readonly perSecond: number
  readonly seconds: number
}

interface Server {
  readonly url: string
  readonly port: number
  pid(): number
}

await runCommand({ options, help }, async (values, defer) => {
  const redis = await startRedis()
  defer(() => redis.stop())
  const [nodes, limit, times, seconds] = [values.nodes, values.limit, values.times, values.seconds].map(Number) as [
    number,
    number,
    number,
    number,
  ]
  const perSecond = limit * times
  const rows = []
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const accuracy of values.accuracy.split(',').map(Number)) {
      for (const [name, ...rules] of limitsOf(limit)) {
        const charges = rules.map((rule, at) => ({
          key: `k${round}.${name}.${accuracy}.${at}`,
          rule,
          amount: 1,
          accuracy,
        }))
        const row = await measure(redis, { name: `${name} ${accuracy}`, charges, nodes, perSecond, seconds })
        rows.push({ round: round + 1, ...row })
      }
    }
  }
  rows.sort((one, other) => (one.limit < other.limit ? -1 : one.limit > other.limit ? 1 : one.round - other.round))
  say(`${nodes} nodes, ${limit} a second, ${times} times as many requests`)
  printTable(rows)
  await saveResults('quota-leases', { nodes, limit, times, seconds, rows })
})

function limitsOf(amount: number): readonly [string, ...LimitRule[]][] {
  const windowMs = 1_000
  return [
    ['sliding', { algorithm: 'slidingWindow', amount, windowMs }],
    ['fixed', { algorithm: 'fixedWindow', amount, windowMs, from: 'epoch' }],
    ['gcra', { algorithm: 'gcra', amount, windowMs, burst: amount }],
    [
      'two together',
      { algorithm: 'slidingWindow', amount, windowMs },
      { algorithm: 'slidingWindow', amount: 40 * amount, windowMs: 60_000 },
    ],
  ]
}

async function measure(redis: Server, { name, charges, nodes: count, perSecond, seconds }: Run) {
  const nodes = await Promise.all(Array.from({ length: count }, (_, at) => startNode(redis.url, String(at))))
  const client = new Redis(redis.port)
  const grants: number[] = []
  const note = (outcomes: readonly { readonly granted: number }[]) => {
    if ((outcomes[0]?.granted ?? 0) > 0) grants.push(clock.now())
  }
  const offer = async (ms: number) => {
    const startedAt = performance.now()
    const end = startedAt + ms
    let sent = 0
    const pending = new Set<Promise<unknown>>()
    for (let now = startedAt; now < end; now = performance.now()) {
      for (const due = Math.floor(((now - startedAt) / 1_000) * perSecond); sent < due; sent++) {
        const answer = nodes[sent % count]?.limits.charge(charges, { mode: 'all' })
        if (answer instanceof Promise) {
          const noted = answer.then(note, () => undefined).finally(() => pending.delete(noted))
          pending.add(noted)
        } else if (answer !== undefined) note(answer)
      }
      await pause(1)
    }
    await Promise.all(pending)
    return sent
  }
  await offer(WARM_UP_MS)
  const read = async () => ({
    calls: await scriptsOf(client),
    redis: cpuSeconds([redis.pid()]),
    own: process.cpuUsage(),
    asked: await sumOf(nodes, ASKED),
    over: await sumOf(nodes, MEASURED),
    grants: grants.length,
  })
  // Whole windows.
  await pause(1_000 - (clock.now() % 1_000))
  const [before, startedAt] = [await read(), performance.now()]
  const requests = await offer(seconds * 1_000)
  // Longer than asked for where the machine is too small.
  const [after, passed] = [await read(), (performance.now() - startedAt) / 1_000]
  for (const node of nodes) await node.close()
  client.disconnect()
  const { user, system } = process.cpuUsage(before.own)
  const limit = charges[0] as LimitCharge
  const allowed = limit.rule.amount * passed
  const each = (value: number) => (value / requests).toFixed(3)
  const percent = (value: number) => ((100 * value) / allowed).toFixed(1)
  return {
    limit: name,
    'granted %': percent(after.grants - before.grants),
    'beyond %': percent(beyondOf(limit, grants)),
    'measured %': percent(after.over - before.over),
    asked: each(after.asked - before.asked),
    calls: each(after.calls - before.calls),
    'Redis µs': ((1e6 * (after.redis - before.redis)) / requests).toFixed(1),
    'own µs': ((user + system) / requests).toFixed(1),
    requests,
  }
}

/** What an exact limit would have refused of these grants. */
function beyondOf({ rule }: LimitCharge, grants: readonly number[]): number {
  let now = 0
  const exact = new MemoryLimits({ clock: { ...clock, now: () => now } })
  let over = 0
  for (const at of grants) {
    now = at
    if (exact.charge([{ key: 'k', rule, amount: 1 }], { mode: 'all' })[0]?.isExceeded === true) over++
  }
  return over
}

async function startNode(url: string, id: string) {
  const log = createLogger({
    level: 'error',
    format: 'json',
    terminal: false,
    write: (line) => process.stderr.write(line),
  })
  const meter = createMeter()
  const link = connectRedis({ access: { url }, role: 'queue', commandTimeoutMs: 1_000, clock, random, log, meter })
  await new Promise<void>((resolve) => void link.onUp(resolve))
  const processes = new ChargingProcesses({ link, clock, prefix: 'load:', id })
  const shared = new RedisLimits({ link, clock, prefix: 'load:' })
  const metrics = new QuotaMetrics(meter, 'load')
  const limits = new NodeLimits({ shared, link, clock, log, metrics, processes })
  return {
    limits,
    meter,
    async close() {
      await limits.close()
      processes.close()
      link.close()
    },
  }
}

async function sumOf(nodes: readonly { readonly meter: ReturnType<typeof createMeter> }[], name: string) {
  let sum = 0
  for (const { meter } of nodes)
    for (const [, value] of (await meter.render()).matchAll(new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, 'gm')))
      sum += Number(value)
  return sum
}

async function scriptsOf(client: Redis): Promise<number> {
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(await client.info('commandstats'))?.[1] ?? 0)
}
