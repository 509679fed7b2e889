// Which queues of reports and of handlers hold something, and who serves them: seen from what all processes say of
// themselves, from Redis, and from the ledger.

import type { Clock } from '../kernel/ports.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { RedisLink } from '../redis/connection.ts'
import { FAN_OUT, type Ledger } from './ledger.ts'
import { jobsIn, shardNumbers } from './jobs-in.ts'
import type { LedgerReport } from './ledger-report.ts'
import type { Presence, ProcessEntry, ProcessRegistry, ReportQueueName } from './process-registry.ts'
import { meshPrefix, queueNames } from './queue-names.ts'
import { shardsSaid } from './queue-shards.ts'

/** A queue, and who has to do with it. */
export interface QueueService {
  /** Its name in Redis. */
  readonly queue: string
  /** What people call it. */
  readonly name: string
  readonly mesh: string | undefined
  /** Digest of the report rules under which its reports were accepted; `undefined` for the queue of a handler. */
  readonly rules?: string
  /** Full name of the handler; `undefined` for a queue of reports. */
  readonly handler?: string
  /** What waits or is under way: jobs of reports, instances of a handler. */
  readonly held: number
  /** Ids of living processes that may still add to it; of a handler's queue it is not known. */
  readonly addedBy: readonly string[]
  /** Ids of living processes that take from it. */
  readonly servedBy: readonly string[]
  /** For how long something has waited there and nobody served it, as far as this process has seen. */
  readonly unservedMs: number
}

/** What a look found. */
export interface Services {
  /** Living processes of this mesh. */
  readonly members: readonly ProcessEntry[]
  /** Queues of this mesh, and those of others where something waits that no process of theirs is there for. */
  readonly queues: readonly QueueService[]
}

export interface QueueServicesOptions {
  readonly link: RedisLink
  readonly clock: Clock
  readonly registry: Pick<ProcessRegistry, 'read' | 'forget'>
  /** Of the mesh. */
  readonly ledger: Pick<Ledger, 'read'>
  readonly prefix: string
  readonly mesh: string | undefined
  /** This process's own entry, once it is anything. */
  readonly self: () => Pick<ProcessEntry, 'id'> | undefined
}

/** Queues of reports that one look counts. */
const MAX_COUNTED = 100
const DIGITS_FOR_PEOPLE = 12

/** Tells in a ledger who serves its queues. */
export function withServices(report: LedgerReport, { queues, members }: Services, reports: string): LedgerReport {
  const known = new Map(queues.map(({ queue, name, servedBy }) => [queue, { about: name, servedBy }]))
  // What names no rules is for whoever evaluates reports.
  const evaluating = members.filter(({ evaluates }) => evaluates.length > 0).map(({ id }) => id)
  known.set(reports, { about: 'reports under any rules', servedBy: evaluating })
  return { ...report, queues: report.queues.map((queue) => ({ ...queue, ...known.get(queue.name) })) }
}

export class QueueServices {
  readonly #options: QueueServicesOptions
  #unservedSince = new Map<string, number>()

  constructor(options: QueueServicesOptions) {
    this.#options = options
  }

  /**
   * Looks at everything, and forgets queues that are done with. Rejects while Redis is away, and where it does not know this
   * process (yet, or any more): then others may be missing, too.
   */
  async look(): Promise<Services> {
    const { registry, mesh, self } = this.#options
    const presence = await registry.read()
    if (!presence.processes.some(({ id }) => id === self()?.id)) {
      throw new IntermixError('NOT_READY', 'Redis does not know of this process yet')
    }
    const found = [...(await this.#ofReports(presence)), ...(await this.#ofHandlers(presence))]
    const now = this.#options.clock.monotonic()
    const since = new Map<string, number>()
    for (const { name, held, servedBy } of found) {
      if (held > 0 && servedBy.length === 0) since.set(name, this.#unservedSince.get(name) ?? now)
    }
    this.#unservedSince = since
    const queues = found.map((queue) => ({ ...queue, unservedMs: now - (since.get(queue.name) ?? now) }))
    return { members: presence.processes.filter((process) => process.mesh === mesh), queues }
  }

  async #ofReports({ processes, queues }: Presence): Promise<Omit<QueueService, 'unservedMs'>[]> {
    const { mesh, registry, prefix } = this.#options
    const found: Omit<QueueService, 'unservedMs'>[] = []
    for (const queue of queues.slice(-MAX_COUNTED)) {
      const those = processes.filter((process) => process.mesh === queue.mesh)
      if (queue.mesh !== mesh && those.length > 0) continue
      const idsOf = (role: 'adds' | 'evaluates') =>
        those.filter((process) => process[role].includes(queue.rules)).map(({ id }) => id)
      const [addedBy, servedBy, held] = [idsOf('adds'), idsOf('evaluates'), await this.#jobsIn(queue)]
      if (held === 0 && addedBy.length === 0 && !those.some(({ rules }) => rules === queue.rules)) {
        await registry.forget(queue)
      }
      const name = `reports under the rules ${queue.rules.slice(0, DIGITS_FOR_PEOPLE)}${ofMesh(queue.mesh)}`
      const names = queueNames(meshPrefix(prefix, queue.mesh))
      found.push({ queue: names.reports(queue.rules), name, ...queue, held, addedBy, servedBy })
    }
    return found
  }

  async #ofHandlers({ processes }: Presence): Promise<Omit<QueueService, 'unservedMs'>[]> {
    const { mesh, ledger, prefix } = this.#options
    const names = queueNames(meshPrefix(prefix, mesh))
    const members = processes.filter((process) => process.mesh === mesh)
    return [...(await ledger.read())].flatMap(([handler, totals]) => {
      if (handler === FAN_OUT) return []
      const servedBy = members.filter(({ delivers }) => delivers.includes(handler)).map(({ id }) => id)
      const held = Math.max(0, totals.held - totals.deadLetters)
      const name = `handler ${handler}${ofMesh(mesh)}`
      return [{ queue: names.deliver(handler), name, mesh, handler, held, addedBy: [], servedBy }]
    })
  }

  async #jobsIn({ mesh, rules }: ReportQueueName): Promise<number> {
    const { link, prefix } = this.#options
    const names = queueNames(meshPrefix(prefix, mesh))
    const shards = shardNumbers(await shardsSaid(link, names))
    return jobsIn(
      link,
      names,
      shards.map((shard) => names.reports(rules, shard)),
    )
  }
}

function ofMesh(mesh: string | undefined): string {
  return mesh === undefined ? '' : ` of the mesh ${mesh}`
}
