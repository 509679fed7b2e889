// What the product itself says of the records: its ledger, and its dead letters.

import type { Fleet } from './fleet.ts'

interface Totals {
  readonly accepted: number
  readonly delivered: number
  readonly held: number
  readonly deadLetters?: number
  readonly dropped: Readonly<Record<string, number>>
}

export interface Accounts {
  /** Records and instances between a door and a backend; `NaN` where nobody says. */
  readonly onTheWay: number
  readonly deadLetters: number
  /** By who dropped and why. */
  readonly dropped: Readonly<Record<string, number>>
}

export async function readAccounts(fleet: Fleet): Promise<Accounts> {
  const said = await Promise.all(
    fleet.nodes.map(async ({ addresses }) => {
      const answer = await fetch(`http://${addresses?.admin}/debug/reports`).catch(() => undefined)
      return answer?.ok === true
        ? ((await answer.json()) as { intake: Totals; handlers: Record<string, Totals> })
        : undefined
    }),
  )
  const handlers = said.find((each) => each !== undefined)?.handlers ?? {}
  const intakes = said.map((each, at): [string, Totals | undefined] => [fleet.nodes[at]?.name ?? '', each?.intake])
  let onTheWay = 0
  let deadLetters = 0
  const dropped: Record<string, number> = {}
  for (const [who, totals] of [...intakes, ...Object.entries(handlers)]) {
    onTheWay += totals === undefined ? Number.NaN : totals.held - (totals.deadLetters ?? 0)
    deadLetters += totals?.deadLetters ?? 0
    for (const [why, count] of Object.entries(totals?.dropped ?? {})) dropped[`${who} ${why}`] = count
  }
  return { onTheWay, deadLetters, dropped }
}
