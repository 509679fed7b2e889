// The ledger as people and tools read it.

import { totalsOf, type HandlerTotals } from './ledger.ts'
import type { LedgerFacts, NodeFacts, QueueFacts } from './ledger-facts.ts'
import { isGone, lossOf, type LedgerFinding } from './ledger-findings.ts'
import type { IntakeTotals } from './intake-ledger.ts'

/** A process that accepts reports: records. */
export interface NodeRow extends IntakeTotals {
  readonly process: string
  readonly state: 'alive' | 'silent' | 'ended' | 'gone'
  /** Milliseconds since its last word. */
  readonly silentMs: number
  /** Of what it queued, what came to the fan-out; `undefined` without Redis. */
  readonly arrived?: number
  /** Of a process that is gone: what it took with it, at least. */
  readonly lost: number
}

/** What is known of a queue where processes say what they serve. */
export interface QueueServed {
  /** What people call it. */
  readonly about: string
  /** Names of the living processes that take from it. */
  readonly servedBy: readonly string[]
}

export interface LedgerReport {
  /** Whether it is that of all processes, or that of one which has no Redis. */
  readonly isShared: boolean
  readonly nodes: readonly NodeRow[]
  readonly queues: readonly (QueueFacts & Partial<QueueServed>)[]
  /** The fan-out is one of them, in records. */
  readonly handlers: Readonly<Record<string, HandlerTotals>>
  /** What does not add up; empty where all does. */
  readonly findings: readonly LedgerFinding[]
}

const SILENT_AFTER_MS = 25_000

export function reportOf(facts: LedgerFacts, findings: readonly LedgerFinding[], isShared: boolean): LedgerReport {
  return {
    isShared,
    nodes: facts.nodes.map((node) => rowOf(node, facts)),
    queues: [...facts.reportQueues, ...facts.handlerQueues.values()],
    handlers: Object.fromEntries([...facts.handlers].map(([name, counts]) => [name, totalsOf(counts)])),
    findings,
  }
}

function rowOf(node: NodeFacts, facts: LedgerFacts): NodeRow {
  const { process, silentMs, intake } = node
  const gone = isGone(node, facts.nodes)
  return {
    process,
    state: node.hasEnded ? 'ended' : gone ? 'gone' : silentMs > SILENT_AFTER_MS ? 'silent' : 'alive',
    silentMs,
    ...intake,
    arrived: facts.arrived.get(process)?.records ?? 0,
    lost: gone ? lossOf(node, facts).lost : 0,
  }
}
