// What the front doors (gRPC, HTTP, embedded) ask of the node, whatever stands behind it.

import type { AnswerShape } from './answer-shape.ts'
import type { AttributeBag, Vocabulary } from './attribute-bag.ts'
import type { IntermixError } from './errors.ts'
import type { RateLimitAnswer, RateLimitDemand } from './rate-limit.ts'
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

/** Most that `CheckOptions.uses` may be, either way. */
export const MAX_USES = 10_000

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
  /**
   * Which quotas an allowed check charges. `all`, the default: those of every rule that applies; what the caller names in
   * `quotas` is its own to judge, any other quota that is used up denies. `named`: no others, as Mixer's proxies want.
   * `none`: not even those.
   */
  readonly charging?: 'all' | 'named' | 'none'
  /**
   * Another reading of the same request, which is allowed too: what rules charge for it is charged as well, each quota once.
   */
  readonly alsoRead?: AttributeBag
  /** Whether what `alsoRead` says was not decided by a config on trial, as `CheckOutcome.isUndecided` had it. */
  readonly isUndecided?: boolean
  /** The same for each retry of a call: quotas are not charged twice. */
  readonly deduplicationId?: string
  /** `false` for callers that have no use for `Answer.referenced`: it is empty then, and takes no time. */
  readonly references?: boolean
  /** `true` for callers that keep answers by their shape. */
  readonly shape?: boolean
  /**
   * How often a caller that keeps answers wants to give one that pays for quotas: each quota is charged so many times at once,
   * as far as there is room, and `Answer.validUses` says how often more than once it was. 1 unless given. Below 0, so many that
   * the caller was given before and has not used are given back.
   */
  readonly uses?: number
  /** The config by which what is given back was paid for; that which is current unless given. Nothing is taken back by another one. */
  readonly paidUnder?: string | undefined
}

export interface QuotaGrant {
  readonly status: Status
  readonly granted: number
  readonly validForMs: number
  readonly referenced: readonly ReferencedAttribute[]
  /** What it depended on, where the caller keeps answers by their shape. */
  readonly shape?: AnswerShape | undefined
}

/** An answer together with the quotas that were asked for; quotas are granted only where the answer allows. */
export interface CheckOutcome {
  readonly answer: Answer
  readonly quotas: ReadonlyMap<string, QuotaGrant>
  /** When it was answered, on the monotonic clock, where somebody has looked. */
  readonly answeredAt?: number
  /** What the answer depended on, where the caller asked for it and may keep the answer. */
  readonly shape?: AnswerShape | undefined
  /** For how long, in ms, beyond its life the answer may be given by who reaches no node. 0 unless given. */
  readonly staleForMs?: number
  /** Whether it has paid for quotas: for this check, and for each of `Answer.validUses`. */
  readonly isPaid?: boolean
  /**
   * Whether nobody meant to bound how often the answer is given: who has used it as often as `Answer.validUses` says asks for another
   * one, and gives it on where nobody has one.
   */
  readonly usesUnbound?: boolean
  /** Whether a config on trial could not decide it, so that the one behind it did: as for any other reading of the same request. */
  readonly isUndecided?: boolean
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
export type QuotaOptions = Pick<CheckOptions, 'timeoutMs' | 'deduplicationId' | 'references' | 'shape'>

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

export interface RateLimitService {
  /**
   * Charges the limits that descriptors of a request meet; a plain value when nothing had to be awaited. Being over a limit
   * is an answer; an `IntermixError` says that the demand makes no sense, or that the node cannot tell.
   */
  shouldRateLimit(
    demand: RateLimitDemand,
    options: { readonly timeoutMs: number },
  ): RateLimitAnswer | Promise<RateLimitAnswer>
}

/**
 * What "accepted" promises of a report. `memory`: this process has it, and hands it on as long as it lives. `queued`: the
 * queue has it, or a disk from which the next start reads it; without Redis, the pipeline of this process has taken it. At a
 * sidecar, a node has taken it, which promises what it does.
 * `replicated`: replicas of the queue's Redis have it too; while that is away, as `queued`.
 */
export const REPORT_ACKS = ['memory', 'queued', 'replicated'] as const
export type ReportAck = (typeof REPORT_ACKS)[number]

/** Why a batch was refused, as a whole; `undefined` where it was accepted. */
export type ReportOutcome = IntermixError | undefined

/** The front doors that take reports, by the names that settings give them. */
export const REPORT_DOORS = ['http', 'mixer', 'access_log', 'sidecar'] as const
export type ReportDoor = (typeof REPORT_DOORS)[number]

/** What each door promises. Those whose callers send a refused report again wait for the queue. */
export type ReportAcks = Readonly<Record<ReportDoor, ReportAck>>
export const DEFAULT_REPORT_ACKS: ReportAcks = {
  http: 'queued',
  mixer: 'memory',
  access_log: 'memory',
  sidecar: 'queued',
}

export interface ReportService {
  /**
   * Takes a batch or refuses it, at once where nothing has to be waited for. What a node accepted never gives way to newer
   * reports; a sidecar may let the oldest give way, and tells nodes. Neither throws nor rejects: a refusal is OVERLOADED or
   * another retryable error where the same batch may be taken later, INVALID_REQUEST where it will never be.
   */
  accept(batch: ReportBatch, ack: ReportAck): ReportOutcome | Promise<ReportOutcome>
}
