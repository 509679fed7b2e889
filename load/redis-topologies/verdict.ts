// What a run must have kept to: with `queued`, what asynchronous replication loses is told and not held against it.

import { deadLettersOf, isUnderWay } from '../report-chaos/accounts.ts'
import { TWO_MASTERS } from './cases.ts'
import type { Outcome } from './run.ts'

/** One line for each promise that was broken. */
export function violations(outcome: Outcome): readonly string[] {
  const { options, checks, records, lost, doubled, delivered, counted, ledger } = outcome
  const mayLose = options.ack === 'queued' && options.cases.some((name) => TWO_MASTERS.includes(name))
  const found: readonly (readonly [boolean, string])[] = [
    [checks.wrong > 0, `${checks.wrong} checks were answered wrongly`],
    [checks.failed > 0, `${checks.failed} checks got no decision at any node`],
    [records.refused > 0, `${records.refused} records were refused`],
    [records.unknown > 0, `${records.unknown} records got no answer`],
    [lost > 0 && !mayLose, `${lost} acknowledged records did not arrive`],
    [doubled > 0, `${doubled} records arrived twice under different batch ids`],
    [
      mayLose ? counted > delivered : counted !== delivered,
      `the counters say ${counted}, the backend has ${delivered}`,
    ],
    [isUnderWay(ledger), 'the ledger says that something is on its way still'],
    [deadLettersOf(ledger) > 0, `${deadLettersOf(ledger)} instances are dead letters`],
  ]
  return found.filter(([isBroken]) => isBroken).map(([, what]) => what)
}
