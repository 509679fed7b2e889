// Where the ledger does not add up. Only what is missing for sure is told: what is on its way between two places is not.

import { type HandlerCounts, FAN_OUT, droppedOf } from './ledger.ts'
import type { Arrivals, LedgerFacts, NodeFacts } from './ledger-facts.ts'
import { relationsOf } from './node-relations.ts'

/** `moving` ends by itself within a minute, `waiting` may take as long as a queue is. */
export type Unsettled = 'moving' | 'waiting'

export interface LedgerFinding {
  readonly where: 'node' | 'queue' | 'handler'
  /** The process, queue or handler. */
  readonly name: string
  /** Records (of handlers: instances) that are missing at least, or that are there too often. */
  readonly atLeast: number
  readonly message: string
  /** Set while the missing ones may be on their way yet; another look tells. */
  readonly isUnsettled?: Unsettled
}

/** A process is taken for ended after so long without a sign, or sooner where its node has a younger one. */
const GONE_AFTER_MS = 30_000
/** Of one that held something at its last sign, and of one that had no more to say: see `NodeSigns`. */
const SUPERSEDED_AFTER_MS = { holding: 3_000, idle: 25_000 }
/** What a process may have queued after its last sign. */
const SIGN_EVERY_MS = 2_000

/** Processes that a message names. */
const MAX_NAMED = 10

const MOVING = { isUnsettled: 'moving' } as const
const WAITING = { isUnsettled: 'waiting' } as const

/** @param before the counts by handler of an earlier look: what was queued by then must be in the queue now. */
export function findingsOf(facts: LedgerFacts, before: LedgerFacts['handlers'] | undefined): readonly LedgerFinding[] {
  return [
    ...facts.nodes.flatMap((node) => [...sumOfNode(node), ...lossOfNode(node, facts)]),
    ...lossOfQueues(facts, before?.get(FAN_OUT)),
    ...[...facts.handlers].flatMap(([name, counts]) => sumOfHandler(name, counts)),
    ...[...facts.handlers].flatMap(([name, counts]) => lossOfHandler(name, counts, facts, before?.get(name))),
    ...lossOfLetters(facts, before),
  ]
}

/** Whether a process has ended without saying so. */
export function isGone({ process, node, silentMs, hasEnded, intake }: NodeFacts, nodes: readonly NodeFacts[]): boolean {
  if (hasEnded) return false
  if (silentMs >= GONE_AFTER_MS) return true
  if (silentMs < SUPERSEDED_AFTER_MS[intake.held > 0 ? 'holding' : 'idle']) return false
  return relationsOf(nodes)
    .ofNode(node)
    .some((other) => other.process > process && other.silentMs < silentMs)
}

/** What a gone process took with it, at least; `isUnsettled` while some of it may wait in the queue or on a disk. */
export function lossOf(node: NodeFacts, facts: LedgerFacts): { readonly lost: number; readonly isUnsettled: boolean } {
  const { process, intake, queued, silentMs } = node
  const { ofNode, queuers } = relationsOf(facts.nodes)
  const others = queuers(process).filter((other) => other !== node)
  const known = queued[process]?.[0] ?? 0
  // What arrived beyond what it had told of: queued after its last sign, or read from its disk by another process.
  const beyond = Math.max(0, (facts.arrived.get(process)?.records ?? 0) - known)
  const fromDisk = Math.min(beyond, sum(others.map((other) => other.queued[process]?.[0])))
  const lost = Math.max(0, intake.held - (beyond - fromDisk) - Math.max(0, fromDisk - intake.stored))
  const isQueued = facts.oldestMs !== undefined && facts.oldestMs >= silentMs - SIGN_EVERY_MS
  const isStored = ofNode(node.node).some((other) => other !== node && other.intake.stored > 0)
  return { lost, isUnsettled: lost > 0 && (isQueued || isStored) }
}

function sumOfNode({ process, intake, hasEnded }: NodeFacts): LedgerFinding[] {
  const { accepted, delivered, held, stored, dropped } = intake
  const off = accepted - delivered - held - stored - sum(Object.values(dropped))
  if (off === 0 && held >= 0) return []
  const message = `accepted ${accepted}, but queued ${delivered}, held ${held}, stored ${stored} and dropped ${sum(Object.values(dropped))}`
  return [
    { where: 'node', name: process, atLeast: Math.max(Math.abs(off), -held), message, ...(hasEnded ? {} : MOVING) },
  ]
}

function lossOfNode(node: NodeFacts, facts: LedgerFacts): LedgerFinding[] {
  if (!isGone(node, facts.nodes)) return []
  const { lost, isUnsettled } = lossOf(node, facts)
  if (lost === 0) return []
  const message = `ended without a word ${seconds(node.silentMs)} ago; of ${node.intake.held} records that it held then, ${lost} have not been seen since`
  return [{ where: 'node', name: node.process, atLeast: lost, message, ...(isUnsettled ? WAITING : {}) }]
}

/** What a process queued, itself or by others who read its disk, and what of it has not come to the fan-out. */
function missingOf(node: NodeFacts, { nodes, arrived }: Pick<LedgerFacts, 'nodes' | 'arrived'>): Arrivals {
  const { process, intake } = node
  const came = arrived.get(process) ?? { records: 0, parcels: 0 }
  let [records, parcels] = node.queued[process] ?? [0, 0]
  for (const other of relationsOf(nodes).queuers(process)) {
    if (other === node) continue
    const [moreRecords, moreParcels] = other.queued[process] ?? [0, 0]
    if (moreParcels === 0) continue
    // What is read from a disk may have been queued before: then it is queued once.
    records = Math.min(records + moreRecords, Math.max(intake.accepted - intake.recovered, records))
    parcels += moreParcels
  }
  const missing = Math.max(0, records - came.records)
  return { records: missing, parcels: Math.min(Math.max(0, parcels - came.parcels), missing) }
}

function lossOfQueues(facts: LedgerFacts, before: HandlerCounts | undefined): LedgerFinding[] {
  const missing = facts.nodes
    .map((node) => ({ process: node.process, ...missingOf(node, facts) }))
    .filter(({ parcels }) => parcels > 0)
  // Reports out of the dead letters wait in the same queues.
  const fanOut = facts.handlers.get(FAN_OUT)
  const replayed = Math.max(0, ((before ?? fanOut)?.get('batchesIn') ?? 0) - (fanOut?.get('batchesOut') ?? 0))
  const parcels = sum(missing.map((each) => each.parcels)) + replayed
  const jobs = sum(facts.reportQueues.map((queue) => queue.jobs))
  if (parcels <= jobs) return []
  const atLeast = jobs === 0 ? sum(missing.map((each) => each.records)) + replayed : parcels - jobs
  const whose = missing.slice(0, MAX_NAMED).map(({ process, records }) => `${process} (${records} records)`)
  if (missing.length > MAX_NAMED) whose.push(`and ${missing.length - MAX_NAMED} more`)
  if (replayed > 0) whose.push(`dead letters (${replayed} parcels)`)
  const message = `${parcels} parcels were queued and did not come to the fan-out, and ${jobs} jobs wait; they are of ${whose.join(', ')}`
  return [{ where: 'queue', name: facts.reportQueues.map(({ name }) => name).join(', '), atLeast, message }]
}

function sumOfHandler(name: string, counts: HandlerCounts): LedgerFinding[] {
  const count = (what: string) => counts.get(what) ?? 0
  const dropped = sum(Object.values(droppedOf(counts)))
  const off = count('accepted') - count('delivered') - count('held') - dropped
  const least = Math.min(0, ...counts.values())
  if (off === 0 && least === 0) return []
  const message = `accepted ${count('accepted')}, but delivered ${count('delivered')}, held ${count('held')} and dropped ${dropped}`
  return [{ where: 'handler', name, atLeast: Math.max(Math.abs(off), -least), message }]
}

function lossOfHandler(
  name: string,
  counts: HandlerCounts,
  { handlerQueues, reportQueues }: LedgerFacts,
  before: HandlerCounts | undefined,
): LedgerFinding[] {
  const queue = handlerQueues.get(name)
  if (name === FAN_OUT || queue === undefined) return []
  const batches = ((before ?? counts).get('batchesIn') ?? 0) - (counts.get('batchesOut') ?? 0)
  if (batches <= queue.jobs) return []
  const waiting = (counts.get('held') ?? 0) - (counts.get('dead') ?? 0)
  // A fan-out that has counted a batch and not queued it yet will do so, at its next try or in another worker.
  const isUnsettled = before === undefined || reportQueues.some(({ begun }) => begun > 0)
  const atLeast = queue.jobs === 0 ? Math.max(waiting, 1) : batches - queue.jobs
  const message = `${batches} batches wait for it, and its queue holds ${queue.jobs}`
  return [{ where: 'handler', name, atLeast, message, ...(isUnsettled ? MOVING : {}) }]
}

function lossOfLetters(
  { handlers, letters }: LedgerFacts,
  before: LedgerFacts['handlers'] | undefined,
): LedgerFinding[] {
  let known = 0
  for (const [name, counts] of handlers) {
    known += ((before ?? handlers).get(name)?.get('lettersIn') ?? 0) - (counts.get('lettersOut') ?? 0)
  }
  if (known <= letters) return []
  const message = `${known} dead letters are counted, and ${letters} are there`
  const isUnsettled = before === undefined
  return [
    {
      where: 'queue',
      name: 'dead letters',
      atLeast: known - letters,
      message,
      ...(isUnsettled ? MOVING : {}),
    },
  ]
}

function sum(numbers: readonly (number | undefined)[]): number {
  return numbers.reduce<number>((total, number) => total + (number ?? 0), 0)
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1_000)} s`
}
