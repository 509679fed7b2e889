// What a run must have kept to.

import { deadLettersOf, isUnderWay, namedMissing } from './accounts.ts'
import type { Outcome } from './run.ts'

/** One line for each promise that was broken. */
export function violations(outcome: Outcome): readonly string[] {
  const { options, doors, delivered, missing, doubled, invented, receiver, counted, ledger } = outcome
  const absent = Object.values(doors).reduce((sum, { sent }) => sum + sent, -delivered)
  const found: [boolean, string][] = [
    [options.ack === 'queued' && missing > 0, `${missing} acknowledged records did not arrive`],
    [doubled > 0, `${doubled} records arrived twice under different places or batch ids`],
    [invented > 0, `${invented} records arrived that nobody sent`],
    [receiver.changed > 0, `${receiver.changed} batches came again under their id with other instances`],
    [doors.http.refusedYetDelivered > 0, `${doors.http.refusedYetDelivered} refused records arrived`],
    [counted !== delivered, `the counters say ${counted}, the backend has ${delivered}`],
    [isUnderWay(ledger), 'the ledger says that something is on its way still'],
    [deadLettersOf(ledger) > 0, `${deadLettersOf(ledger)} instances are dead letters`],
    [
      namedMissing(ledger) > absent,
      `the ledger misses ${namedMissing(ledger)} records, where ${absent} did not arrive`,
    ],
    ...handlersOff(outcome),
    ...unnamed(outcome),
  ]
  return found.filter(([isBroken]) => isBroken).map(([, what]) => what)
}

/** All that arrived at the fan-out was delivered to both handlers. */
function handlersOff({ ledger: { findings } }: Outcome): [boolean, string][] {
  const off = findings.filter(({ where, isUnsettled }) => where === 'handler' && isUnsettled === undefined)
  return off.map(({ name, message }) => [true, `the ledger does not add up at ${name}: ${message}`])
}

/** Where acknowledged records are missing, the ledger knows that the process has gone which had them. */
function unnamed({ incomplete, ledger }: Outcome): [boolean, string][] {
  const gone = ledger.nodes.filter(({ state }) => state === 'gone').map(({ process }) => process)
  const named = [...gone, ...ledger.findings.map(({ name, message }) => `${name} ${message}`)]
  const losers = new Set(incomplete.map(({ node }) => node))
  return [...losers].map((node) => [
    !named.some((text) => text.includes(`${node}-`)),
    `acknowledged records of ${node} are missing, and the ledger does not know it`,
  ])
}
