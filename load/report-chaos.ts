// That no report is lost whatever dies: `node load/report-chaos.ts --help`.

import { runCommand } from './kit/command.ts'
import { printTable, runScenario, saveResults, say } from './output.ts'
import { seededRandom } from './random.ts'
import { deadLettersOf, namedMissing } from './report-chaos/accounts.ts'
import { BREAKS } from './report-chaos/breaks.ts'
import { EACH_ONCE, EACH_ONCE_MS, schedule } from './report-chaos/faults.ts'
import { chaosRun, type ChaosOptions, type Fsync, type Outcome } from './report-chaos/run.ts'
import type { Ack } from './report-chaos/fleet.ts'
import { violations } from './report-chaos/verdict.ts'

const QUICK_SECONDS = 60
const MINUTES = 10
const MIB = 2 ** 20

const help = `node load/report-chaos.ts [--quick] [OPTIONS]: reports at three doors of two nodes, two workers, Redis with an
append-only file and a backend, of which each is killed, stopped, paused or made to fail again and again

  --quick            ${QUICK_SECONDS} s a row instead of ${MINUTES} minutes
  --minutes N        how long a row takes
  --ack PROMISE      queued or memory; default both
  --fsync WHEN       everysec or always, of Redis' file; default both
  --seed N           another schedule of faults
  --faults           say each fault as it comes
  --break NAME       plant a fault into the program, which must be found: ${Object.keys(BREAKS).join(' or ')};
                     with each kind of fault once, ${EACH_ONCE_MS / 1_000} s a row

Exits with 1 where a promise was broken: with queued, each acknowledged record arrives; with memory, the ledger says what is
missing; with both, none arrives twice under two ids, and the counters of the workers say what the backend has.`

const options = {
  quick: { type: 'boolean', default: false },
  minutes: { type: 'string' },
  ack: { type: 'string' },
  fsync: { type: 'string' },
  seed: { type: 'string', default: '1' },
  faults: { type: 'boolean', default: false },
  break: { type: 'string' },
} as const

await runCommand({ options, help }, async (values) => {
  const minutes = values.minutes === undefined ? (values.quick ? QUICK_SECONDS / 60 : MINUTES) : Number(values.minutes)
  const acks = chosen<Ack>('ack', values.ack, ['queued', 'memory'])
  const fsyncs = chosen<Fsync>('fsync', values.fsync, ['everysec', 'always'])
  const [plant] =
    values.break === undefined ? [] : chosen('break', values.break, Object.keys(BREAKS) as (keyof typeof BREAKS)[])
  const durationMs = plant === undefined ? minutes * 60_000 : EACH_ONCE_MS
  const pace = { durationMs, calmMs: 6_000, longestMs: 8_000 }
  const faults = plant === undefined ? schedule(pace, seededRandom(Number(values.seed))) : EACH_ONCE
  const rows: Outcome[] = []
  for (const [ack, fsync] of acks.flatMap((a) => fsyncs.map((f): [Ack, Fsync] => [a, f]))) {
    const given: ChaosOptions = {
      ack,
      fsync,
      seed: Number(values.seed),
      durationMs,
      faults,
      plant,
      everyMs: 100,
      drainMs: 180_000,
      maxMemoryBytes: 64 * MIB,
    }
    const onFault: ChaosOptions['onFault'] = ({ target, kind, index, at, forMs }) =>
      say(`${(at / 1_000).toFixed(1)} s: ${target} ${index + 1}: ${kind} for ${(forMs / 1_000).toFixed(1)} s`)
    await runScenario(async (defer) => {
      const outcome = await chaosRun({ ...given, ...(values.faults ? { onFault } : {}) }, defer)
      rows.push(outcome)
      tell(outcome)
    })
  }
  printTable(rows.map(row))
  await saveResults('report-chaos', { rows: rows.map((each) => ({ ...each, violations: violations(each) })) })
  if (rows.some((each) => violations(each).length > 0)) process.exitCode = 1
})

function chosen<T extends string>(name: string, text: string | undefined, all: readonly T[]): readonly T[] {
  if (text === undefined) return all
  const found = all.find((each) => each === text)
  if (found === undefined) throw new Error(`--${name} ${text}: must be one of ${all.join(', ')}`)
  return [found]
}

function row(outcome: Outcome) {
  const { options, doors, receiver, delivered, missing, doubled, counted, ledger, drainedMs } = outcome
  const sum = (what: 'sent' | 'acknowledged' | 'refused' | 'unknown') =>
    Object.values(doors).reduce((total, counts) => total + counts[what], 0)
  const { taken, repeated } = receiver.calls
  return {
    ack: options.ack,
    fsync: options.fsync,
    faults: options.faults.length,
    sent: sum('sent'),
    acknowledged: sum('acknowledged'),
    refused: sum('refused'),
    'no answer': sum('unknown'),
    arrived: delivered,
    missing,
    twice: doubled,
    'repeats %': ((100 * repeated) / Math.max(1, taken)).toFixed(1),
    'dead letters': deadLettersOf(ledger),
    'ledger misses': namedMissing(ledger),
    counted,
    'drained in s': (drainedMs / 1_000).toFixed(1),
    broken: violations(outcome).length,
  }
}

function tell(outcome: Outcome): void {
  const { options, doors, ledger, complaints, incomplete } = outcome
  say(`ack ${options.ack}, fsync ${options.fsync}:`)
  for (const [door, counts] of Object.entries(doors)) say(`  ${door}: ${JSON.stringify(counts)}`)
  for (const { where, name, message } of ledger.findings) say(`  the ledger: ${where} ${name}: ${message}`)
  say(`  said by nodes and workers: ${JSON.stringify(complaints)}`)
  for (const { door, node, at, count } of incomplete.slice(0, 10))
    say(`  incomplete: ${count} of ${door} at ${node}, ${(at / 1_000).toFixed(1)} s`)
  for (const what of violations(outcome)) say(`  BROKEN: ${what}`)
}
