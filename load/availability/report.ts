// From classed requests to the availability of a mesh whose backends are at 99.9 %, with bounds.

import { printTable, say } from '../output.ts'
import { type Cluster, failureShare, recombine } from '../statistics.ts'
import type { CalmFigures } from './calm.ts'
import type { RecoveryFigures } from './recovery.ts'
import type { ClassCounts, SampleFigures } from './sample.ts'

/** Share of the time that a backend at three nines is down. */
const UNAVAILABILITY = 1e-3

export interface ArmFigures extends SampleFigures {
  readonly name: string
  readonly recovery: RecoveryFigures
}

export interface Availability {
  readonly failDown: number
  readonly failDownUpper: number
  readonly failUp: number
  readonly failUpUpper: number
  readonly availability: number
  /** Both upper bounds recombined: at least 95 %, rather more. */
  readonly lower: number
  readonly requestsDown: number
  readonly requestsUp: number
}

/** @param calm requests of a run without outages, counted among those while the backend was up */
export function estimate(counts: ClassCounts, calm: Cluster | undefined, random: () => number): Availability {
  const down = failureShare(counts.down, random)
  const ups = calm === undefined ? [counts.up] : [counts.up, calm]
  const up = failureShare(ups, random)
  return {
    failDown: down.value,
    failDownUpper: down.upper,
    failUp: up.value,
    failUpUpper: up.upper,
    availability: recombine(UNAVAILABILITY, down.value, up.value),
    lower: recombine(UNAVAILABILITY, down.upper, up.upper),
    requestsDown: counts.down.reduce((sum, { requests }) => sum + requests, 0),
    requestsUp: ups.reduce((sum, { requests }) => sum + requests, 0),
  }
}

export function printAvailability(rows: readonly { arm: string; keys: string; estimate: Availability }[]): void {
  printTable(
    rows.map(({ arm, keys, estimate: e }) => ({
      arm,
      keys,
      'fail|down': `${percent(e.failDown, 3)} (${e.requestsDown})`,
      '≤': percent(e.failDownUpper, 3),
      'fail|up': `${percent(e.failUp, 4)} (${e.requestsUp})`,
      '≤ ': percent(e.failUpUpper, 4),
      availability: percent(e.availability, 4),
      'lower bound': percent(e.lower, 4),
    })),
  )
}

export function printArms(arms: readonly ArmFigures[]): void {
  printTable(
    arms.map((arm) => ({
      arm: arm.name,
      wrong: arm.wrong,
      'beyond age': arm.beyondAge,
      'oldest ms': arm.oldestMs,
      'p50 ms': arm.latency.p50.toFixed(1),
      'p99 ms': arm.latency.p99.toFixed(1),
      'driver late p99': arm.lateP99.toFixed(1),
      'backend calls/s': arm.recovery.steadyPerSecond.toFixed(1),
      'peak after recovery': arm.recovery.peakPerSecond.toFixed(1),
      'peak/steady': arm.recovery.peakRatio.toFixed(2),
    })),
  )
  for (const { name, upErrors, beyondExamples, warmFailures } of arms) {
    const isSheltered = name.startsWith('stale')
    if (isSheltered)
      for (const failure of warmFailures) say(`${name}: warm key failed (ms, key): ${failure.slice(0, 180)}`)
    for (const example of beyondExamples) say(`${name}: beyond age (tier, age, latency): ${example}`)
    const known = Object.entries(upErrors).sort(([, a], [, b]) => b - a)
    for (const [error, count] of known.slice(0, 5)) say(`${name}: while up, ${count} times: ${error.slice(0, 160)}`)
  }
}

export function printCalm({ requests, failures, wrong, latency, lateP99, reasons }: CalmFigures): void {
  printTable([
    {
      'without outages, warm keys': `${requests} checks`,
      failures,
      wrong,
      'p50 ms': latency.p50.toFixed(2),
      'p99 ms': latency.p99.toFixed(1),
      'driver late p99': lateP99.toFixed(1),
    },
  ])
  for (const [reason, count] of Object.entries(reasons)) say(`${count} × ${reason}`)
}

/** Failures while the nodes of one arm were away, and otherwise. */
export function printKilled(part: string, figures: SampleFigures): void {
  printTable(
    (['warm', 'cold'] as const).map((keys) => {
      const { up, down } = figures[keys]
      const sum = (of: keyof Cluster) => down.reduce((total, cluster) => total + cluster[of], 0)
      return {
        [part]: `${keys} keys`,
        'failures while away': `${sum('failures')} of ${sum('requests')}`,
        'else failures': `${up.failures} of ${up.requests}`,
        wrong: figures.wrong,
        'beyond age': figures.beyondAge,
        'p99 ms': figures.latency.p99.toFixed(1),
        'driver late p99': figures.lateP99.toFixed(1),
      }
    }),
  )
  for (const failure of figures.warmFailures) say(`warm key failed (ms, key): ${failure.slice(0, 180)}`)
  for (const example of figures.beyondExamples) say(`beyond age (tier, age, latency): ${example}`)
}

function percent(share: number, digits: number): string {
  return `${(share * 100).toFixed(digits)} %`
}
