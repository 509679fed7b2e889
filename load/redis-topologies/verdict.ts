// What a run must have kept to.

import { deadLettersOf, isUnderWay } from '../report-chaos/accounts.ts'
import { TWO_MASTERS } from './cases.ts'
import type { Outcome } from './run.ts'

/** What is written to a master that has been replaced is lost, and for no longer than this may anybody do so. */
const LEFT_MS = 5_000

/** One of two replicas has what was acknowledged, and the other one may take over: what was on its way between them is lost. */
const BETWEEN_REPLICAS = 50

/** One line for each promise that was broken. */
export function violations(outcome: Outcome): readonly string[] {
  const { options, checks, records, lost, doubled, delivered, counted, ledger } = outcome
  const isOneMaster = !options.cases.some((name) => TWO_MASTERS.includes(name))
  const mayLose = isOneMaster ? 0 : (options.perSecond * LEFT_MS) / 1_000
  const found: readonly (readonly [boolean, string])[] = [
    [checks.wrong > 0, `${checks.wrong} checks were answered wrongly`],
    [checks.failed > 0, `${checks.failed} checks got no decision at any node`],
    [records.refused > 0, `${records.refused} records were refused`],
    [records.unknown > 0, `${records.unknown} records got no answer`],
    [
      lost > (options.ack === 'replicated' ? Math.min(mayLose, BETWEEN_REPLICAS) : mayLose),
      `${lost} acknowledged records did not arrive`,
    ],
    [doubled > 0, `${doubled} records arrived twice under different batch ids`],
    [counted > delivered || counted + mayLose < delivered, `the counters say ${counted}, the backend has ${delivered}`],
    [isOneMaster && isUnderWay(ledger), 'the ledger says that something is on its way still'],
    [deadLettersOf(ledger) > 0, `${deadLettersOf(ledger)} instances are dead letters`],
  ]
  return found.filter(([isBroken]) => isBroken).map(([, what]) => what)
}
