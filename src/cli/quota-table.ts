// Counters of quotas as a table.

import type { QuotaAnswer } from '../policy/quota-counters.ts'
import type { CounterView } from '../quota/usage/counter-view.ts'
import { table } from './table.ts'

const MAX_NAME = 80

/** The lines of a table, and how many counters were reset. */
export function counterTable({ counters, reset }: QuotaAnswer): string[] {
  const lines = table(
    'Counters; what was asked and refused in about the last minute',
    ['HANDLER', 'LIMIT', 'COUNTER', 'AMOUNT', 'WINDOW', 'USED', 'LEFT', 'RESET', 'ASKED', 'REFUSED', 'HELD BY'],
    counters.map((counter) => [
      counter.handler,
      counter.limit,
      nameOf(counter),
      counter.amount,
      counter.windowMs === undefined ? '' : time(counter.windowMs),
      counter.used,
      counter.left,
      time(counter.resetMs),
      counter.asked ?? '',
      counter.refused ?? '',
      heldBy(counter),
    ]),
  )
  if (reset !== undefined) return [...lines, `${reset} counter${reset === 1 ? '' : 's'} reset`]
  return lines.length > 0 ? lines : ['no counter was charged lately']
}

function nameOf({ values, process }: CounterView): string {
  const pairs = Object.entries(values).map(([name, value]) => `${name}=${value}`)
  const name = [...pairs, ...(process === undefined ? [] : [`in ${process}`])].join(' ')
  return name.length <= MAX_NAME ? name : `${name.slice(0, MAX_NAME - 1)}…`
}

function heldBy({ holders = {} }: CounterView): string {
  return Object.entries(holders)
    .map(([process, amount]) => `${process} (${amount})`)
    .join(', ')
}

/** In seconds, and from some minutes on in the two largest units. */
function time(ms: number): string {
  if (ms < 600_000) return `${Number((ms / 1_000).toFixed(1))}s`
  const minutes = Math.round(ms / 60_000)
  const parts = [
    [Math.floor(minutes / 1_440), 'd'],
    [Math.floor(minutes / 60) % 24, 'h'],
    [minutes % 60, 'm'],
  ] as const
  const first = parts.findIndex(([count]) => count > 0)
  return parts
    .slice(first, first + 2)
    .map(([count, unit]) => (count === 0 ? '' : `${count}${unit}`))
    .join('')
}
