// What a real Redis Cluster or Sentinel setup goes through, and what a mesh notices: `node load/redis-topologies.ts --help`.

import { runCommand } from './kit/command.ts'
import { printTable, runScenario, saveResults, say } from './output.ts'
import { type CaseName, CLUSTER_CASES, SENTINEL_CASES } from './redis-topologies/cases.ts'
import { type Outcome, topologyRun } from './redis-topologies/run.ts'
import { violations } from './redis-topologies/verdict.ts'

const CASES = [...Object.keys(CLUSTER_CASES), ...Object.keys(SENTINEL_CASES)] as readonly CaseName[]
const PAUSE_MS = 10_000
const PER_SECOND = 200
const QUICK_PAUSE_MS = 2_000

const help = `node load/redis-topologies.ts [--quick] [OPTIONS]: two nodes, two workers, a cluster of three masters with a replica each
or a master with two replicas and three sentinels

  --case NAME    one of ${CASES.join(', ')}; may be given again; default all
  --quick        faults of ${QUICK_PAUSE_MS / 1_000} s instead of ${PAUSE_MS / 1_000} s
  --ack PROMISE  replicated instead of queued
  --rate N       checks and records a second instead of ${PER_SECOND}
  --seed N       another order of keys

Exits with 1 where a check was wrong or failed at both nodes, or an acknowledged record did not arrive, or one arrived twice.`

const options = {
  quick: { type: 'boolean', default: false },
  case: { type: 'string', multiple: true },
  ack: { type: 'string', default: 'queued' },
  rate: { type: 'string', default: String(PER_SECOND) },
  seed: { type: 'string', default: '1' },
} as const

await runCommand({ options, help }, async (values) => {
  const pauseMs = values.quick ? QUICK_PAUSE_MS : PAUSE_MS
  const { ack } = values
  if (ack !== 'queued' && ack !== 'replicated') throw new Error(`--ack ${ack}: must be queued or replicated`)
  const perSecond = Number(values.rate)
  const outcomes: Outcome[] = []
  for (const name of values.case === undefined ? CASES : values.case.map(known))
    await runScenario(async (defer) => {
      const outcome = await topologyRun({ cases: [name], ack, pauseMs, perSecond, seed: Number(values.seed) }, defer)
      outcomes.push(outcome)
      tell(name, outcome)
    })
  printTable(outcomes.map(row))
  await saveResults('redis-topologies', {
    rows: outcomes.map((each) => ({ ...each, violations: violations(each) })),
  })
  if (outcomes.some((each) => violations(each).length > 0)) process.exitCode = 1
})

function known(name: string): CaseName {
  const found = CASES.find((each) => each === name)
  if (found === undefined) throw new Error(`--case ${name}: must be one of ${CASES.join(', ')}`)
  return found
}

function row(outcome: Outcome) {
  const { options, checks, records, lost, doubled, counted, delivered, behindMs, recoveryMs } = outcome
  return {
    case: options.cases.join(', '),
    ack: options.ack,
    held: violations(outcome).length === 0 ? 'yes' : 'no',
    checks: checks.checks,
    wrong: checks.wrong,
    failed: checks.failed,
    retried: checks.retried,
    'p99 ms': checks.p99.toFixed(0),
    'driver late p99': checks.lateP99.toFixed(0),
    records: records.sent,
    refused: records.refused + records.unknown,
    lost,
    twice: doubled,
    uncounted: delivered - counted,
    'longest on its way s': (behindMs / 1_000).toFixed(1),
    'recovered after s': (recoveryMs / 1_000).toFixed(1),
  }
}

function tell(name: CaseName, outcome: Outcome): void {
  say(`${name}:`)
  for (const [error, count] of Object.entries(outcome.checks.errors))
    say(`  no decision at first, ${count} times: ${error}`)
  for (const { where, name: at, message } of outcome.ledger.findings) say(`  the ledger: ${where} ${at}: ${message}`)
  say(`  said by nodes and workers: ${JSON.stringify(outcome.complaints)}`)
  for (const { door, node, at, count } of outcome.incomplete.slice(0, 10))
    say(`  incomplete: ${count} of ${door} at ${node}, ${(at / 1_000).toFixed(1)} s`)
  for (const what of violations(outcome)) say(`  BROKEN: ${what}`)
}
