// What a run must have kept to.

import type { Outcome } from './run.ts'

/** One line for each promise that was broken. */
export function violations(outcome: Outcome): readonly string[] {
  const { options, doors, delivered, missing, doubled, invented, receiver, counted, accounts } = outcome
  const found: [boolean, string][] = [
    [options.ack === 'queued' && missing > 0, `${missing} acknowledged records did not arrive`],
    [doubled > 0, `${doubled} records arrived twice under different places or batch ids`],
    [invented > 0, `${invented} records arrived that nobody sent`],
    [receiver.changed > 0, `${receiver.changed} batches came again under their id with other instances`],
    [doors.http.refusedYetDelivered > 0, `${doors.http.refusedYetDelivered} refused records arrived`],
    [accounts.onTheWay !== 0, `the ledger says that ${accounts.onTheWay} are still on their way`],
    [accounts.deadLetters > 0, `${accounts.deadLetters} instances are dead letters`],
    [counted !== delivered, `the counters say ${counted}, the backend has ${delivered}`],
  ]
  return found.filter(([isBroken]) => isBroken).map(([, what]) => what)
}
