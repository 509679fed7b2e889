// The ledger as tables.

import type { LedgerReport } from '../telemetry/ledger-report.ts'
import { table } from './table.ts'

/** The lines of all tables, and of what does not add up. */
export function ledgerTables({ nodes, queues, handlers, findings }: LedgerReport): string[] {
  const settled = findings.filter((finding) => !finding.isUnsettled)
  const unsettled = findings.filter((finding) => finding.isUnsettled)
  return [
    ...table(
      'Nodes, in records',
      ['PROCESS', 'STATE', 'REFUSED', 'ACCEPTED', 'QUEUED', 'ARRIVED', 'HELD', 'STORED', 'DROPPED', 'LOST'],
      nodes.map((node) => [
        node.process,
        node.state,
        droppedText(node.refused),
        node.accepted,
        node.delivered,
        node.arrived ?? '',
        node.held,
        node.stored,
        droppedText(node.dropped),
        node.lost,
      ]),
    ),
    ...table(
      'Queues, in jobs',
      ['QUEUE', 'JOBS', 'BEGUN', 'ABOUT', 'SERVED BY'],
      queues.map(({ name, jobs, begun, about = '', servedBy }) => [name, jobs, begun, about, servedByText(servedBy)]),
    ),
    ...table(
      'Fan-out, in records, and handlers, in instances',
      ['HANDLER', 'ACCEPTED', 'DELIVERED', 'HELD', 'DEAD', 'BYTES', 'DROPPED'],
      Object.entries(handlers).map(([name, totals]) => [
        name,
        totals.accepted,
        totals.delivered,
        totals.held,
        totals.deadLetters,
        totals.bytes,
        droppedText(totals.dropped),
      ]),
    ),
    ...nodes.flatMap(({ process, state }) => (state === 'gone' ? [unknownText(process)] : [])),
    ...unsettled.map((finding) => `on its way, or missing: ${findingText(finding)}`),
    ...settled.map((finding) => `MISSING: ${findingText(finding)}`),
    ...(settled.length === 0 ? ['everything adds up'] : []),
  ]
}

function unknownText(process: string): string {
  return `not known: what ${process} accepted after its last sign, a tenth of a second before its end or as Redis went away`
}

function findingText({ where, name, atLeast, message }: LedgerReport['findings'][number]): string {
  return `${where} ${name}: at least ${atLeast}: ${message}`
}

const MAX_NAMED = 3

function servedByText(processes: readonly string[] | undefined): string {
  if (processes === undefined) return ''
  if (processes.length === 0) return 'nobody'
  const more = processes.length - MAX_NAMED
  return `${processes.slice(0, MAX_NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

/** The sum, and its parts by reason. */
function droppedText(dropped: Readonly<Record<string, number | undefined>>): string {
  const parts = Object.entries(dropped).filter(([, count = 0]) => count !== 0)
  if (parts.length === 0) return '0'
  const sum = parts.reduce((total, [, count = 0]) => total + count, 0)
  return `${sum} (${parts.map(([reason, count]) => `${reason} ${count}`).join(', ')})`
}
