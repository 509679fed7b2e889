// Holds what was counted against what is there: nodes, queues, handlers. Each look is compared with the one before, so that
// what is under way is not taken for lost.

import type { Job, Queue } from 'bullmq'
import { REPORT_LEDGER_MISMATCH } from '../kernel/metrics/reports.ts'
import type { Clock, Gauge, Meter } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import { FAN_OUT } from './ledger.ts'
import type { Arrivals, LedgerFacts, NodeFacts, QueueFacts } from './ledger-facts.ts'
import { findingsOf, isGone, type LedgerFinding, lossOf } from './ledger-findings.ts'
import { type LedgerReport, reportOf } from './ledger-report.ts'
import { shardNumbers } from './jobs-in.ts'
import { LinkQueue } from './link-queue.ts'
import type { NodeNumbers } from './node-signs.ts'
import { queueNames } from './queue-names.ts'
import { shardsSaid } from './queue-shards.ts'
import { RedisLedger } from './redis-ledger.ts'

const TIMEOUT_MS = 2_000
const PAGE = 500
const BEGUN = ['active', 'delayed', 'failed'] as const
const WAITING = ['waiting', 'prioritized', 'waiting-children'] as const
/** Between the ledger and the queue, where nothing is interrupted. */
const UNDER_WAY_MS = 1_000
/** What an interrupted fan-out has counted is queued by then: another worker has taken over its job. */
const SETTLED_AFTER_MS = 60_000

export interface LedgerAuditOptions {
  readonly link: RedisLink
  readonly clock: Clock
  readonly meter: Meter
  readonly prefix?: string
}

export class LedgerAudit {
  readonly #options: LedgerAuditOptions
  readonly #ledger: RedisLedger
  readonly #gauges: ReadonlyMap<LedgerFinding['where'], Gauge>
  readonly #queues = new Map<string, LinkQueue>()
  #before: { readonly handlers: LedgerFacts['handlers']; readonly at: number } | undefined
  /** Since when something is unsettled, on the monotonic clock. */
  readonly #unsettledSince = new Map<string, number>()

  constructor(options: LedgerAuditOptions) {
    this.#options = options
    this.#ledger = new RedisLedger(options.link, options.prefix)
    const series = options.meter.gauge(REPORT_LEDGER_MISMATCH)
    this.#gauges = new Map(REPORT_LEDGER_MISMATCH.labels.where.map((where) => [where, series({ where })]))
  }

  /** Reads and compares everything, and shows as a metric what does not add up. @throws IntermixError REDIS_UNAVAILABLE */
  async look(): Promise<LedgerReport> {
    const facts = await this.#facts()
    const at = this.#options.clock.monotonic()
    const isFresh = this.#before !== undefined && at - this.#before.at < UNDER_WAY_MS
    const findings = this.#settled(findingsOf(facts, isFresh ? undefined : this.#before?.handlers))
    if (!isFresh) this.#before = { handlers: facts.handlers, at }
    for (const [where, gauge] of this.#gauges) {
      const found = findings.filter((finding) => finding.where === where && !finding.isUnsettled)
      gauge.set(found.reduce((sum, { atLeast }) => sum + atLeast, 0))
    }
    return reportOf(facts, findings, true)
  }

  async close(): Promise<void> {
    await this.#forgetQueues(new Set())
  }

  /** What a fan-out has counted stays under way no longer than it takes; what waits in a queue may do so for hours. */
  #settled(findings: readonly LedgerFinding[]): readonly LedgerFinding[] {
    const now = this.#options.clock.monotonic()
    const keys = new Set(findings.map(keyOf))
    for (const key of this.#unsettledSince.keys()) if (!keys.has(key)) this.#unsettledSince.delete(key)
    return findings.map((finding) => {
      const { isUnsettled, ...settled } = finding
      if (isUnsettled !== 'moving') return finding
      const key = keyOf(finding)
      const since = this.#unsettledSince.get(key) ?? now
      this.#unsettledSince.set(key, since)
      return now - since < SETTLED_AFTER_MS ? finding : settled
    })
  }

  async #facts(): Promise<LedgerFacts> {
    const { link, prefix } = this.#options
    const names = queueNames(prefix)
    const nodes = await this.#nodes()
    // After the nodes have told what they queued: what they said of shards they said before.
    const shards = shardNumbers(await shardsSaid(link, names))
    const rules = new Set<string | undefined>([undefined, ...nodes.flatMap((node) => node.rules)])
    const reportQueues = await Promise.all(
      [...rules].map((digest) => this.#queue(shards.map((shard) => names.reports(digest, shard)))),
    )
    const handlers = [...(await this.#ledger.counts()).keys()].filter((handler) => handler !== FAN_OUT)
    const handlerQueues = await Promise.all(
      handlers.map(
        async (handler) => [handler, await this.#queue(shards.map((shard) => names.deliver(handler, shard)))] as const,
      ),
    )
    const letters = await this.#queue([names.deadLetters])
    const asked = [...reportQueues, ...handlerQueues.map(([, queue]) => queue), letters]
    await this.#forgetQueues(new Set(asked.flatMap(({ shards }) => shards)))
    const facts = {
      nodes,
      reportQueues,
      handlerQueues: new Map(handlerQueues),
      letters: letters.jobs,
      arrived: withBefore(await this.#ledger.arrivals(), nodes),
      handlers: await this.#ledger.counts(),
      oldestMs: undefined,
    }
    if (!nodes.some((node) => isGone(node, nodes) && lossOf(node, facts).lost > 0)) return facts
    const waiting = reportQueues.filter(({ jobs }) => jobs > 0).flatMap((queue) => queue.shards)
    const ages = await Promise.all(waiting.map((name) => this.#oldestMs(name)))
    return { ...facts, oldestMs: ages.length === 0 ? undefined : Math.max(...ages) }
  }

  async #nodes(): Promise<NodeFacts[]> {
    const { nodes } = queueNames(this.#options.prefix).ledger
    const { link } = this.#options
    const time = await link.run((client) => client.time(), TIMEOUT_MS)
    const now = Number(time[0]) * 1_000 + Number(time[1]) / 1_000
    // In pages: nobody waits long for the others, neither in Redis nor here. One may come twice.
    const found = new Map<string, NodeFacts>()
    let cursor = '0'
    do {
      const [next, page] = await link.run((client) => client.hscan(nodes, cursor, 'COUNT', PAGE), TIMEOUT_MS)
      for (let i = 0; i < page.length; i += 2) {
        const [process = '', text = ''] = page.slice(i, i + 2)
        const space = text.indexOf(' ')
        const numbers = JSON.parse(text.slice(space + 1)) as NodeNumbers
        const silentMs = Math.max(0, Math.round(now - Number(text.slice(0, space))))
        found.set(process, { ...numbers, process, silentMs })
      }
      cursor = next
    } while (cursor !== '0')
    return [...found.values()]
  }

  /** A queue by the names of its shards: it has the name of the first one. */
  async #queue(shards: readonly string[]): Promise<QueueFacts & { readonly shards: readonly string[] }> {
    const counts = await Promise.all(
      shards.map((name) => this.#in(name, (queue) => queue.getJobCounts(...BEGUN, ...WAITING))),
    )
    const count = (states: readonly string[]) =>
      counts.reduce((sum, each) => states.reduce((all, state) => all + (each[state] ?? 0), sum), 0)
    return { name: shards[0] ?? '', jobs: count([...BEGUN, ...WAITING]), begun: count(BEGUN), shards }
  }

  async #oldestMs(name: string): Promise<number> {
    const firsts = await this.#in(name, (queue) =>
      Promise.all([...BEGUN, ...WAITING].map((state) => queue.getJobs([state], 0, 0, true))),
    )
    const oldest = Math.min(...firsts.flat().map((job: Job | undefined) => job?.timestamp ?? Number.POSITIVE_INFINITY))
    return Math.max(0, this.#options.clock.now() - oldest)
  }

  #in<T>(name: string, ask: (queue: Queue) => Promise<T>): Promise<T> {
    const { link, prefix } = this.#options
    let queue = this.#queues.get(name)
    if (queue === undefined)
      this.#queues.set(name, (queue = new LinkQueue(link, name, queueNames(prefix).keyPrefix(name))))
    return queue.run(ask, TIMEOUT_MS)
  }

  async #forgetQueues(asked: ReadonlySet<string>): Promise<void> {
    const others = [...this.#queues].filter(([name]) => !asked.has(name))
    for (const [name] of others) this.#queues.delete(name)
    await Promise.all(others.map(([, queue]) => queue.close()))
  }
}

/** With what had arrived before Redis lost its data. */
function withBefore(arrived: LedgerFacts['arrived'], nodes: readonly NodeFacts[]): LedgerFacts['arrived'] {
  const all = new Map<string, Arrivals>(arrived)
  for (const { process, arrivedBefore } of nodes) {
    if (arrivedBefore === undefined) continue
    const { records = 0, parcels = 0 } = arrived.get(process) ?? {}
    all.set(process, { records: records + arrivedBefore[0], parcels: parcels + arrivedBefore[1] })
  }
  return all
}

function keyOf({ where, name }: LedgerFinding): string {
  return `${where} ${name}`
}
