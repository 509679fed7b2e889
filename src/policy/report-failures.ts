// What keeps a record from a handler: matches and instances that could not be evaluated. All are counted and leave a line
// at debug level; of each rule and instance there is a warning now and then. What a record holds is not for the log.

import type { EvaluationError, FailureKind } from '../expression/compiled.ts'
import { REPORT_INSTANCE_FAILURES_TOTAL, REPORT_RULE_MATCH_FAILURES_TOTAL } from '../kernel/metrics/reports.ts'
import type { Clock, Counter, Logger, Meter } from '../kernel/ports.ts'

export interface ReportFailuresOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
}

/** A warning for each rule or instance in so many milliseconds: records come by the thousand. */
const QUIET_MS = 60_000
/** Names that are remembered; configs come and go. */
const MAX_NAMES = 10_000

export class ReportFailures {
  readonly #options: ReportFailuresOptions
  readonly #matches: (labels: { rule: string; reason: FailureKind }) => Counter
  readonly #instances: (labels: { instance: string; reason: FailureKind }) => Counter
  /** When, on the monotonic clock, the last warning of a name was. */
  readonly #said = new Map<string, number>()

  constructor(options: ReportFailuresOptions) {
    this.#options = options
    const { meter } = options
    this.#matches = meter.counter(REPORT_RULE_MATCH_FAILURES_TOTAL)
    this.#instances = meter.counter(REPORT_INSTANCE_FAILURES_TOTAL)
  }

  matchFailed(rule: string, failure: EvaluationError): void {
    this.#matches({ rule, reason: failure.kind }).add()
    this.#say(rule, failure, 'a report rule is passed over: its match cannot be evaluated')
  }

  instanceFailed(rule: string, instance: string, failure: EvaluationError): void {
    this.#instances({ instance, reason: failure.kind }).add()
    this.#say(`${rule} ${instance}`, failure, 'a report is not made: its instance cannot be filled', { rule, instance })
  }

  #say(name: string, { kind, part }: EvaluationError, what: string, of: object = { name }): void {
    const { clock, log } = this.#options
    const about = { ...of, reason: kind, expression: part }
    const now = clock.monotonic()
    const before = this.#said.get(name)
    if (before !== undefined && now - before < QUIET_MS) return log.debug(about, what)
    if (this.#said.size >= MAX_NAMES) this.#said.clear()
    this.#said.set(name, now)
    log.warn(about, what)
  }
}
