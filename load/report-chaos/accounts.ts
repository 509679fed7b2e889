// What the product itself says of the records: `intermix ledger`.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { LedgerReport } from '../../src/telemetry/ledger-report.ts'
import type { Fleet } from './fleet.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

/** The ledger as any node or worker tells it; `undefined` where none does. */
export async function readLedger(fleet: Fleet): Promise<LedgerReport | undefined> {
  for (const { addresses } of fleet.members) {
    const answer = await fetch(`http://${addresses?.admin}/debug/ledger`).catch(() => undefined)
    if (answer?.ok === true) return (await answer.json()) as LedgerReport
  }
  return undefined
}

/** The ledger as the command tells it at last, which looks twice and knows what is missing. */
export async function tellLedger(fleet: Fleet): Promise<LedgerReport> {
  const admin = `http://${fleet.nodes[0]?.addresses?.admin}`
  const args = ['src/main.ts', 'ledger', '--json', '--admin', admin]
  // It ends with 1 where something is missing, and says what all the same.
  const { stdout, stderr } = await run(process.execPath, args, { cwd: ROOT, maxBuffer: 1 << 26 }).catch(
    (error: { stdout?: string; stderr?: string }) => ({ stdout: error.stdout ?? '', stderr: error.stderr ?? '' }),
  )
  if (stdout === '') throw new Error(`intermix ledger: ${stderr}`)
  return JSON.parse(stdout) as LedgerReport
}

/** Whether something is on its way: in a process, on a disk or in a queue. Dead letters are not. */
export function isUnderWay({ nodes, queues, handlers }: LedgerReport): boolean {
  const intakes = nodes.filter(({ state }) => state === 'alive').map(({ held, stored }) => held + stored)
  const waiting = Object.values(handlers).map(({ held, deadLetters }) => held - deadLetters)
  return [...intakes, ...waiting, ...queues.map(({ jobs }) => jobs)].some((count) => count !== 0)
}

/** Of all handlers. */
export function deadLettersOf({ handlers }: LedgerReport): number {
  return Object.values(handlers).reduce((sum, { deadLetters }) => sum + deadLetters, 0)
}

/** Records that the ledger says are missing at processes and in queues, without those that may be on their way. */
export function namedMissing({ findings }: LedgerReport): number {
  const settled = findings.filter(({ isUnsettled, where }) => isUnsettled === undefined && where !== 'handler')
  return settled.reduce((sum, { atLeast }) => sum + atLeast, 0)
}
