// What quotas let pass that sidecars lease ahead of need: `node load/quota-pools.ts --help`.

import type { LimitRule } from '../src/adapter-kit/limits.ts'
import type { NodeGrant, NodeQuestion } from '../src/client/nodes/nodes.ts'
import { DEFAULT_PREFETCH, MIXER_PREFETCH, type PrefetchOptions } from '../src/client/quotas/prefetch-options.ts'
import { createQuotaPoolMetrics } from '../src/client/quotas/quota-pool-metrics.ts'
import { QuotaPools } from '../src/client/quotas/quota-pools.ts'
import { MapBag } from '../src/kernel/attribute-bag.ts'
import type { Clock } from '../src/kernel/ports.ts'
import { Code, OK_STATUS } from '../src/kernel/status.ts'
import { systemClock } from '../src/kernel/system-clock.ts'
import { MemoryLimits } from '../src/quota/memory-limits.ts'
import { runCommand } from './kit/command.ts'
import { printTable, saveResults, say } from './output.ts'
import { seededRandom } from './random.ts'
import { ZipfSampler } from './zipf.ts'

const help = `node load/quota-pools.ts [OPTIONS]: sidecars that lease amounts of one limit ahead of need, on simulated time

  --sidecars N         default 20, of unlike demand (Zipf's law)
  --limit N            how much a second; default 1000
  --demands N,…        requests a second over all sidecars; default 950,2000,10000
  --latency-ms N       from a sidecar to a node and back; default 2
  --seconds N          of which the first is not counted; default 21
  --seed N             default 1

"bucket" refills all the time and holds a tenth of the limit, "window" is a sliding second; what is leased of them may be spent for a second
and for a tenth. "passed" is beside what an exact limit would let pass, "worst second" beside the limit, "calls" are questions to nodes for
each request, and "waited" the share of requests that had to wait for one. "spent ahead" has Mixer's first grant on trust, bounded by one
lease; "Mixer" its constants, and "each asks" no pools.`

const options = {
  sidecars: { type: 'string', default: '20' },
  limit: { type: 'string', default: '1000' },
  demands: { type: 'string', default: '950,2000,10000' },
  'latency-ms': { type: 'string', default: '2' },
  seconds: { type: 'string', default: '21' },
  seed: { type: 'string', default: '1' },
} as const

interface Setup {
  readonly sidecars: number
  readonly limit: number
  readonly latencyMs: number
  readonly seconds: number
  readonly seed: number
}

interface Limited {
  readonly rule: LimitRule
  readonly validForMs: number
}

const WARM_UP_MS = 1_000
const MODES: Readonly<Record<string, PrefetchOptions | undefined>> = {
  pools: DEFAULT_PREFETCH,
  'spent ahead': { ...DEFAULT_PREFETCH, maxOptimistic: 10 },
  Mixer: MIXER_PREFETCH,
  'each asks': undefined,
}

/** Time that goes on by single milliseconds. */
class Ticks {
  ms = 0
  readonly #due = new Map<number, (() => void)[]>()

  after(ms: number, callback: () => void): void {
    const at = this.ms + ms
    const due = this.#due.get(at)
    if (due === undefined) this.#due.set(at, [callback])
    else due.push(callback)
  }

  tick(): void {
    this.ms++
    for (const callback of this.#due.get(this.ms) ?? []) callback()
    this.#due.delete(this.ms)
  }

  get clock(): Clock {
    return { ...systemClock, now: () => this.ms, monotonic: () => this.ms }
  }
}

/** What a node says of one limit that all requests share. */
function nodeOf(ticks: Ticks, { rule, validForMs }: Limited, latencyMs: number, isPooled: boolean) {
  const limits = new MemoryLimits({ clock: ticks.clock })
  const epoch = { generation: '', sequence: 0 }
  const shape = { config: 'c', choosing: [], scope: 's', reads: [], handlers: [], epoch, generated: [] }
  const node = {
    calls: 0,
    ask({ quotas = new Map() }: Pick<NodeQuestion, 'quotas'>) {
      node.calls++
      const grants = new Map<string, NodeGrant>()
      for (const [name, { amount, bestEffort }] of quotas) {
        const [outcome] = limits.charge([{ key: 'k', rule, amount }], { mode: bestEffort ? 'part' : 'all' })
        const { granted = 0, retryAfterMs = 0 } = outcome ?? {}
        const told = isPooled ? { shape } : { shape: undefined }
        const refused = { status: { code: Code.RESOURCE_EXHAUSTED, message: '' }, granted: 0, ...told }
        grants.set(
          name,
          granted > 0
            ? { status: OK_STATUS, granted, validForMs, ...told }
            : { ...refused, validForMs: Math.min(100, retryAfterMs) },
        )
      }
      return new Promise<ReturnType<typeof answer>>((resolve) => ticks.after(latencyMs, () => resolve(answer(grants))))
    },
  }
  return node
}

function answer(grants: ReadonlyMap<string, NodeGrant>) {
  const said = { requestHeaders: [], responseHeaders: [], referenced: [], tier: 'backend', ageMs: 0 } as const
  return {
    answer: { status: OK_STATUS, validForMs: 0, validUses: 0, ...said },
    shape: undefined,
    staleForMs: 0,
    isPaid: false,
    grants,
  }
}

async function run(setup: Setup, demand: number, limited: Limited, prefetch: PrefetchOptions | undefined) {
  const ticks = new Ticks()
  const random = seededRandom(setup.seed)
  const node = nodeOf(ticks, limited, setup.latencyMs, prefetch !== undefined)
  const metrics = createQuotaPoolMetrics({ counter: nothing, gauge: nothing, histogram: nothing })
  const make = () =>
    new QuotaPools({ nodes: node, clock: ticks.clock, random, metrics, prefetch: prefetch ?? DEFAULT_PREFETCH })
  const sidecars = Array.from({ length: setup.sidecars }, make)
  const sampler = new ZipfSampler(setup.sidecars, 1, random)
  const bag = MapBag.of({})
  const call = { config: 'c', bag, seen: bag, affinity: '', tenant: '', timeoutMs: 1_000 }
  const demands = new Map([['q', { amount: 1, bestEffort: false }]])
  const passed: number[] = []
  let [sent, waited, callsBefore] = [0, 0, 0]
  const note = (grants: ReadonlyMap<string, NodeGrant>) => {
    if ((grants.get('q')?.granted ?? 0) > 0) passed.push(ticks.ms)
  }
  let due = 0
  while (ticks.ms < setup.seconds * 1_000) {
    ticks.tick()
    if (ticks.ms === WARM_UP_MS) [sent, waited, callsBefore] = [0, 0, node.calls]
    // A Poisson process.
    for (; due < ticks.ms; due -= (Math.log(1 - random()) / demand) * 1_000) {
      sent++
      const grants = sidecars[sampler.next()]?.charge({ ...call, demands }, ticks.ms) ?? new Map()
      if (!(grants instanceof Promise)) note(grants)
      else {
        waited++
        void grants.then(note)
      }
    }
    await new Promise(setImmediate)
  }
  return figures(setup, { passed, sent, waited, calls: node.calls - callsBefore })
}

function figures(
  { limit, seconds }: Setup,
  seen: { readonly passed: readonly number[]; readonly sent: number; readonly waited: number; readonly calls: number },
) {
  const counted = seen.passed.filter((at) => at > WARM_UP_MS)
  const allowed = Math.min(seen.sent, limit * (seconds - WARM_UP_MS / 1_000))
  return {
    'passed %': ((100 * counted.length) / allowed).toFixed(1),
    'worst second %': ((100 * worstSecond(counted)) / limit).toFixed(1),
    calls: (seen.calls / seen.sent).toFixed(3),
    'waited %': ((100 * seen.waited) / seen.sent).toFixed(1),
  }
}

/** The most in any second. */
function worstSecond(times: readonly number[]): number {
  let [most, first] = [0, 0]
  for (const [index, at] of times.entries()) {
    while ((times[first] ?? at) <= at - 1_000) first++
    most = Math.max(most, index - first + 1)
  }
  return most
}

function nothing() {
  return () => ({ add: () => undefined, set: () => undefined, observe: () => undefined })
}

await runCommand({ options, help }, async (values) => {
  const [sidecars, limit, latencyMs, seconds, seed] = [
    values.sidecars,
    values.limit,
    values['latency-ms'],
    values.seconds,
    values.seed,
  ].map(Number) as [number, number, number, number, number]
  const setup = { sidecars, limit, latencyMs, seconds, seed }
  const windowMs = 1_000
  const limits: Readonly<Record<string, Limited>> = {
    bucket: { rule: { algorithm: 'gcra', amount: limit, windowMs, burst: limit / 10 }, validForMs: 1_000 },
    window: { rule: { algorithm: 'slidingWindow', amount: limit, windowMs }, validForMs: 100 },
  }
  const rows = []
  for (const [name, limited] of Object.entries(limits))
    for (const demand of values.demands.split(',').map(Number))
      for (const [mode, prefetch] of Object.entries(MODES))
        rows.push({ limit: name, demand, mode, ...(await run(setup, demand, limited, prefetch)) })
  say(`${sidecars} sidecars, ${limit} a second, ${latencyMs} ms to a node and back, ${seconds - 1} s`)
  printTable(rows)
  await saveResults('quota-pools', { ...setup, rows })
})
