// Callers that choose keys which a backend fails on: `node load/poison.ts [--quick] [--seed N]`. What of the others'
// requests is still answered, by share of poison, for keys that were asked before and for new ones.

import { type Fault, startBackend } from './backend-control.ts'
import { startCluster } from './cluster.ts'
import { drive } from './driver.ts'
import { decisionOn, FIRST_POISON, isPoison, pathOf } from './oracle.ts'
import { printTable, runScenario, saveResults, say, scenarioOptions } from './output.ts'
import { seededRandom } from './random.ts'
import { arrivals } from './schedule.ts'
import { quantiles } from './statistics.ts'
import { intermixTarget, type Target } from './targets.ts'
import { warmUp } from './warm-up.ts'

const PER_SECOND = 60
const TIMEOUT_MS = 200
const BACKEND_MS = 5
/** Of the good requests, half have one of these keys, whose verdicts end every second; the others have a new key each. */
const KNOWN_KEYS = 100
const FIRST_NEW = 5_000_000
const CALM_MS = 3_000

const { quick, seed } = scenarioOptions()
const attackMs = quick ? 6_000 : 20_000

type Kind = 'known' | 'new' | 'poison'

interface Row {
  readonly fault: string
  readonly share: number
  readonly answered: Readonly<Record<Kind, number>>
  readonly asked: Readonly<Record<Kind, number>>
  /** Good requests that the node refused because the machine was too busy. */
  readonly shed: number
  readonly wrong: number
  readonly p99: number
  readonly backendPerSecond: number
  readonly errors: readonly string[]
}

let nextNew = FIRST_NEW
let nextPoison = FIRST_POISON

function kindOf(key: number): Kind {
  if (key >= FIRST_POISON) return 'poison'
  return key >= FIRST_NEW ? 'new' : 'known'
}

/** A node of its own for each row, so that none knows what the one before learnt. */
async function measure(by: 'error' | 'hang', share: number): Promise<Row> {
  let row: Row | undefined
  await runScenario(async (defer) => {
    const backend = await startBackend({ validitySeconds: 1, latencyMs: BACKEND_MS })
    defer(() => backend.stop())
    const cluster = await startCluster({
      nodes: 1,
      backends: [backend.url],
      redis: 'none',
      name: 'poison',
      handler: { timeout: `${TIMEOUT_MS}ms`, staleIfError: '0s' },
    })
    defer(() => cluster.stop())
    const target = intermixTarget(cluster.urls, 1, { deadlineMs: 2_000 })
    defer(() => target.close())
    await warmUp(target, 2_000)
    await attack(target, 0, CALM_MS)
    const fault: Fault = { kind: 'poison', by }
    await backend.fail(fault)
    await backend.forget()
    const seen = await attack(target, share, attackMs)
    const calls = (await backend.calls()).filter(([, path]) => isPoison(path)).length
    row = { fault: by, share, backendPerSecond: calls / (attackMs / 1_000), ...seen }
  })
  if (row === undefined) throw new Error('the run has no figures')
  return row
}

async function attack(target: Target, share: number, durationMs: number) {
  const random = seededRandom(seed)
  const answered = { known: 0, new: 0, poison: 0 }
  const asked = { known: 0, new: 0, poison: 0 }
  const latencies: number[] = []
  const errors = new Set<string>()
  let wrong = 0
  let shed = 0
  await drive({
    arrivals: arrivals(PER_SECOND, durationMs, random),
    nextKey() {
      if (random() < share) return nextPoison++
      return random() < 0.5 ? Math.floor(random() * KNOWN_KEYS) : nextNew++
    },
    ask: (key) => target.ask(key),
    onOutcome({ key, decision, latencyMs, error }) {
      const kind = kindOf(key)
      if (error?.includes('OVERLOADED') === true) {
        if (kind !== 'poison') shed++
        return
      }
      asked[kind]++
      if (decision !== 'none') answered[kind]++
      if (kind === 'poison') return
      latencies.push(latencyMs)
      if (decision !== 'none' && decision !== decisionOn(pathOf(key))) wrong++
      if (error !== undefined && errors.size < 3) errors.add(error.slice(0, 160))
    },
  })
  const [p99] = quantiles(Float64Array.from(latencies), 0.99)
  return { answered, asked, shed, wrong, p99, errors: [...errors] }
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)} %`
}

say(
  `one node without Redis, backend ${BACKEND_MS} ms, verdicts valid 1 s and never stale, ${PER_SECOND} checks/s, ` +
    `each poisoned key asked once, ${attackMs / 1_000} s a row`,
)
const rows: Row[] = []
for (const by of ['error', 'hang'] as const) {
  for (const share of [0.2, 0.5, 0.9, 1]) rows.push(await measure(by, share))
}
printTable(
  rows.map((each) => ({
    'poison ends in': each.fault === 'error' ? 'an error' : 'a hang',
    'of all requests': percent(each.share, 1),
    'known keys answered': percent(each.answered.known, each.asked.known),
    'new keys answered': percent(each.answered.new, each.asked.new),
    'p99 of good ones, ms': each.p99 === undefined || Number.isNaN(each.p99) ? '-' : each.p99.toFixed(1),
    shed: each.shed,
    wrong: each.wrong,
    'poison at the backend/s': each.backendPerSecond.toFixed(1),
  })),
)
for (const { fault, share, errors } of rows) for (const error of errors) say(`${fault} ${share}: ${error}`)
say('goal: beside a fifth of poison nearly all good requests are answered; a backend that only fails is asked little')
await saveResults('poison', { quick, seed, rows })
