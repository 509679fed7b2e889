// What the front doors (gRPC, HTTP, embedded) ask of the node, whatever stands behind it.

import type { AttributeBag, Vocabulary } from './attribute-bag.ts'
import type { ReferencedAttribute } from './read-log.ts'
import type { ReportBatch } from './report.ts'
import type { Status } from './status.ts'
import type { Answer } from './verdict.ts'

/** A quota that a caller wants to consume, keyed by the quota instance's short name. */
export interface QuotaDemand {
  readonly amount: number
  /** Whether a part of the amount may be granted. */
  readonly bestEffort: boolean
}

export interface CheckOptions {
  /** Milliseconds from now after which the caller no longer waits. */
  readonly timeoutMs: number
  /** When the call came, on the monotonic clock, where the caller has looked; else it is now. */
  readonly startedAt?: number
  /**
   * Whether the caller keeps the answer and gives it again by itself, as Mixer's proxies do: the answer's `validUses` are
   * then handed out to it.
   */
  readonly keepsAnswer?: boolean
  readonly quotas?: ReadonlyMap<string, QuotaDemand>
  /** The same for each retry of a call: quotas are not charged twice. */
  readonly deduplicationId?: string
  /** `false` for callers that have no use for `Answer.referenced`: it is empty then, and takes no time. */
  readonly references?: boolean
}

export interface QuotaGrant {
  readonly status: Status
  readonly granted: number
  readonly validForMs: number
  readonly referenced: readonly ReferencedAttribute[]
}

/** An answer together with the quotas that were asked for; quotas are granted only where the answer allows. */
export interface CheckOutcome {
  readonly answer: Answer
  readonly quotas: ReadonlyMap<string, QuotaGrant>
  /** When it was answered, on the monotonic clock, where somebody has looked. */
  readonly answeredAt?: number
}

export interface CheckService {
  /** The vocabulary of the config that is served now, to read untyped input by. */
  vocabulary(): Vocabulary
  /**
   * Answers a check; a plain value when nothing had to be awaited.
   * A policy denial is an answer. Only the node's own failure (not ready, overloaded) throws an `IntermixError`.
   */
  check(bag: AttributeBag, options: CheckOptions): CheckOutcome | Promise<CheckOutcome>
}

/** What a caller says of quotas that it asks for without a check. */
export type QuotaOptions = Pick<CheckOptions, 'timeoutMs' | 'deduplicationId' | 'references'>

export interface QuotaService {
  /**
   * Charges quotas of a request by the rules that apply to it, and asks no check whether the request is allowed: that is
   * for the caller to know. An exhausted quota is a grant of nothing. Rejects, with an `IntermixError`, only for the
   * node's own failure (not ready, ambiguous request).
   */
  charge(
    bag: AttributeBag,
    demands: ReadonlyMap<string, QuotaDemand>,
    options: QuotaOptions,
  ): Promise<ReadonlyMap<string, QuotaGrant>>
}

export interface ReportService {
  /** Takes a batch and returns at once; what cannot be held is dropped and counted, never an error for the caller. */
  accept(batch: ReportBatch): void
}
