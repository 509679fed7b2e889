// Which queues of reports a worker takes from: that of its config, those of its configs before as long as something may
// come there, and in the end those that nobody else is left to serve.

import type { Snapshot } from '../src/config/snapshot.ts'
import type { ReportFormats } from '../src/kernel/report.ts'
import { type DeliverTarget, orderedOf } from '../src/telemetry/handler-delivery.ts'
import type { QueueService, Services } from '../src/telemetry/queue-services.ts'
import { type RuleVersion, RuleVersions } from '../src/telemetry/rule-versions.ts'
import { FanOuts } from './fan-outs.ts'
import type { WorkerContext } from './worker-context.ts'

export class ReportQueues {
  readonly #context: WorkerContext
  readonly #versions = new RuleVersions()
  readonly #fanOuts: FanOuts
  /** Digests of rules that nobody has any more, whose reports are evaluated under the present ones. */
  readonly #adopted = new Set<string>()
  /** Since when a former version has had nothing to do, on the monotonic clock. */
  readonly #quietSince = new Map<string, number>()
  #takesReports = false

  constructor(context: WorkerContext, formats: ReportFormats) {
    this.#context = context
    this.#fanOuts = new FanOuts(context, formats)
  }

  /** The handlers of all versions that are kept. */
  get targets(): ReadonlyMap<string, DeliverTarget> {
    return this.#versions.targets
  }

  /** Digests of the rules whose reports it evaluates. */
  get evaluates(): readonly string[] {
    return this.#fanOuts.digests
  }

  /** Follows the config. @param handlers all that it has, @param takesReports whether this worker evaluates reports */
  follow(version: RuleVersion, handlers: Snapshot['handlers'], takesReports: boolean): void {
    const { log } = this.#context
    const before = this.#versions.current
    for (const digest of this.#versions.follow(version)) {
      log.warn({ rules: digest }, 'too many configs since: reports under these rules are left to others')
      this.#leave(digest)
    }
    if (before !== undefined && before.digest !== version.digest) {
      log.info({ rules: version.digest, former: this.#versions.former }, 'reports are evaluated under new rules')
    }
    this.#takesReports = takesReports
    this.#adopted.delete(version.digest)
    this.#quietSince.delete(version.digest)
    this.#fanOuts.keepOnly(new Set([...handlers.keys(), ...this.targets.keys()]), orderedOf(handlers))
    if (!takesReports) {
      for (const digest of this.#fanOuts.digests) this.#fanOuts.leave(digest)
      this.#fanOuts.leave(undefined)
      return
    }
    for (const digest of [undefined, version.digest, ...this.#adopted]) this.#fanOuts.serve(digest, version.rules)
  }

  /** Lets go of what is done with, and takes on what nobody else is left for. @returns whether anything changed. */
  looked({ members, queues }: Services): boolean {
    const done = [...this.#versions.former, ...this.#adopted].filter((digest) => this.#isDone(digest, queues))
    for (const digest of done) this.#leave(digest)
    const left = queues.filter((queue) => this.#isLeft(queue, members))
    for (const queue of left) this.#adopt(queue)
    return done.length + left.length > 0
  }

  stop(deadlineMs: number): Promise<void> {
    return this.#fanOuts.stop(deadlineMs)
  }

  /**
   * Nothing lies in its queue, nobody will add to it, and the handlers that only it knows have delivered everything, or
   * had time to.
   */
  #isDone(digest: string, queues: readonly QueueService[]): boolean {
    const { clock, tuning } = this.#context
    if (queues.some(({ rules, held, addedBy }) => rules === digest && held + addedBy.length > 0)) {
      this.#quietSince.delete(digest)
      return false
    }
    const since = this.#quietSince.get(digest) ?? clock.monotonic()
    this.#quietSince.set(digest, since)
    const owes = queues.some(({ handler, held }) => held > 0 && handler && this.#versions.onlyIn(digest, handler))
    const patienceMs = tuning.formerRulesMs + (owes ? tuning.orphanGraceMs : 0)
    return clock.monotonic() - since >= patienceMs
  }

  /** Whether what waits in it is this worker's to take: nobody has its rules, and all of the mesh have this worker's. */
  #isLeft({ rules, mesh, addedBy, unservedMs }: QueueService, members: Services['members']): boolean {
    if (!this.#takesReports || rules === undefined || mesh !== this.#context.mesh || addedBy.length > 0) return false
    if (this.evaluates.includes(rules) || unservedMs < this.#context.tuning.adoptMs) return false
    return members.every((member) => member.rules === this.#versions.current?.digest)
  }

  #adopt({ rules = '', held }: QueueService): void {
    const { current } = this.#versions
    if (current === undefined) return
    this.#context.log.warn(
      { rules, held, present: current.digest },
      'nobody is left who has the rules under which reports were accepted: they are evaluated under the present ones',
    )
    this.#adopted.add(rules)
    this.#fanOuts.serve(rules, current.rules)
  }

  #leave(digest: string): void {
    this.#versions.drop(digest)
    this.#adopted.delete(digest)
    this.#quietSince.delete(digest)
    this.#fanOuts.leave(digest)
  }
}
