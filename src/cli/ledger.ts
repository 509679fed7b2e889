// `intermix ledger`: what nodes accepted, queues hold and handlers delivered, and where that does not add up.

import { pause } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import { isJsonObject, type JsonObject } from '../kernel/json-object.ts'
import type { LedgerFinding } from '../telemetry/ledger-findings.ts'
import type { LedgerReport } from '../telemetry/ledger-report.ts'
import type { OptionTable } from '../settings/options.ts'
import { defineTool } from './command.ts'
import { type CommandIo, EXIT } from './io.ts'
import { ledgerTables } from './ledger-tables.ts'
import { ADMIN_OPTIONS, adminOf, adminRefusalText, type AskedNode, callNode } from './node-client.ts'

const OPTIONS = {
  json: { kind: 'boolean', default: false, env: false, description: 'One JSON object instead of tables.' },
  ...ADMIN_OPTIONS,
} as const satisfies OptionTable

/** What seems to be missing may be under way from one place to the next: a second look tells. */
const SECOND_LOOK_MS = 2_000

/** `intermix ledger`. */
export const ledger = defineTool({
  usage: '[flags]',
  options: OPTIONS,
  notes: [
    'Accepted = delivered + held + dropped, at each node and for each handler. What is missing is named, with where it was last seen; a process that was killed counts with what it held at its last sign, a tenth of a second before.',
    'With Redis any node or worker answers for all of them. Exits with 0 when everything adds up, 1 when it does not, 2 for wrong flags and 3 when the node could not answer.',
  ],
  examples: ['intermix ledger', 'intermix ledger --json --admin http://10.0.0.5:15014'],
  read: ({ values }) => values,
  async run({ json, ...node }, io) {
    let report = await ask(io, adminOf(node))
    if (report.findings.length > 0) {
      await pause(io.clock, SECOND_LOOK_MS)
      report = await ask(io, adminOf(node))
    }
    for (const line of json ? [JSON.stringify(report)] : ledgerTables(report)) io.out(line)
    return report.findings.every((finding) => finding.isUnsettled) ? EXIT.ok : EXIT.refused
  },
})

async function ask(io: CommandIo, node: AskedNode): Promise<LedgerReport> {
  const answer = await callNode(io, { ...node, path: '/debug/ledger' })
  if (answer.httpStatus >= 300) throw new IntermixError('BACKEND_FAILED', adminRefusalText(answer, node.address))
  const { processes, silent } = answer.body
  if (!isJsonObject(processes)) return answer.body as unknown as LedgerReport
  return merged(processes, Array.isArray(silent) ? silent.map(String) : [])
}

/** One of several processes knows all where they have a Redis; else each knows its own. */
function merged(processes: JsonObject, silent: readonly string[]): LedgerReport {
  const reports = Object.values(processes).filter(isJsonObject) as unknown as LedgerReport[]
  const shared = reports.find((report) => report.isShared)
  if (shared !== undefined) return shared
  const handlers: Record<string, LedgerReport['handlers'][string]> = {}
  for (const [name, totals] of reports.flatMap((report) => Object.entries(report.handlers))) {
    handlers[name] = name in handlers ? addTotals(handlers[name] as typeof totals, totals) : totals
  }
  const unheard = silent.map(
    (name): LedgerFinding => ({
      where: 'node',
      name,
      atLeast: 0,
      message: 'this process did not answer',
      isUnsettled: 'waiting',
    }),
  )
  return {
    isShared: false,
    nodes: reports.flatMap((report) => report.nodes),
    queues: [],
    handlers,
    findings: [...reports.flatMap((report) => report.findings), ...unheard],
  }
}

function addTotals<T extends object>(one: T, other: T): T {
  const sums = Object.entries(other).map(([key, value]) => {
    const mine = (one as Record<string, unknown>)[key]
    if (typeof value === 'number') return [key, value + Number(mine ?? 0)]
    return [key, addTotals(mine ?? {}, value as object)]
  })
  return { ...one, ...Object.fromEntries(sums) }
}
