// Answers checks as a node does, from answers that nodes gave before where one holds, else by asking a node.

import { afterWaiting, givenAgain } from '../cache/answer-life.ts'
import type { FoundAnswer, Replacement, StoredAnswer } from '../cache/answer-cache.ts'
import type { Revocations } from '../cache/revocations.ts'
import { TokenBucket } from '../cache/token-bucket.ts'
import { HANDED_ON_SHARE } from '../cache/verdict-entry.ts'
import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Meter, Random } from '../kernel/ports.ts'
import type { Epoch } from '../kernel/revocation.ts'
import type { ReferencedAttribute } from '../kernel/read-log.ts'
import {
  type CheckOptions,
  type CheckOutcome,
  type CheckService,
  MAX_USES,
  type QuotaDemand,
  type QuotaGrant,
  type QuotaOptions,
  type QuotaService,
} from '../kernel/services.ts'
import { type Answer, NOT_JUDGED } from '../kernel/verdict.ts'
import { outcomeAsSent } from '../wire/as-sent.ts'
import { NormalRequestBag } from '../wire/normal-request-bag.ts'
import type { AffinityChoice } from './affinity.ts'
import type { CacheSample } from '../wire/batch/cache-sample.ts'
import { CacheSampler } from './cache-sample.ts'
import { FirstLevelCache, type FoundFirst, type Wanted } from './first-level-cache.ts'
import { createFirstLevelMetrics, type FirstLevelMetrics } from './first-level-metrics.ts'
import { grantsFor, NamedQuotas } from './named-quotas.ts'
import type { NodeAnswer, Nodes, SampledCache } from './nodes/nodes.ts'
import type { RetoldRevocations } from './nodes/retold-revocations.ts'
import { PaidUses } from './paid-uses.ts'
import type { Grants } from './quotas/quota-pools.ts'
import { type SeenRequest, seenRequest } from './seen-request.ts'
import { referencedBy, together } from './told-reads.ts'
import { UseRates } from './use-rates.ts'

export interface FirstLevelCheckOptions {
  readonly nodes: Nodes
  /** Those that nodes have told of. */
  readonly revocations: Pick<Revocations, 'allows'>
  readonly clock: Clock
  readonly random: Random
  readonly meter: Meter
  readonly maxEntries: number
  readonly maxBytes: number
  readonly choice: AffinityChoice
  /** Checks a second that may be asked in the background; 0: none. */
  readonly refreshesPerSecond: number
  /** By which answers are told on to callers that keep them by their shape; unset: nobody does. */
  readonly retold?: Pick<RetoldRevocations, 'stamp'> | undefined
}

const NO_GRANTS: ReadonlyMap<string, QuotaGrant> = new Map()
const NOT_JUDGED_OUTCOME: CheckOutcome = { answer: NOT_JUDGED, quotas: NO_GRANTS }
const NO_REFERENCES: readonly ReferencedAttribute[] = []
/** Of the life that is left when an answer comes, the part after which another one is asked for; chance spreads them. */
const REFRESH_AFTER = 0.8
const REFRESH_SPREAD = 0.1
/** Of the uses that are wanted, the part below which further ones are paid for. */
const ENOUGH_USES = 0.5
/** Of the uses that are left, the part that a filter gets: few ask one sidecar, and it has got but a part of them itself. */
const FILTER_SHARE = 0.5
const BACKGROUND_TIMEOUT_MS = 1_000

/** What a node has told, and what has become of it here. */
interface Asked {
  readonly told: NodeAnswer
  readonly kept: Replacement | undefined
  readonly grants: Grants
  /** On the monotonic clock. */
  readonly askedAt: number
}

const ANY = {}
const UNCHARGED = { uncharged: true }
const STALE = { stale: true, uncharged: true }

export class FirstLevelCheck implements CheckService, QuotaService, SampledCache {
  readonly #options: FirstLevelCheckOptions
  readonly #metrics: FirstLevelMetrics
  readonly #cache: FirstLevelCache
  readonly #sampler: CacheSampler
  readonly #refreshes: TokenBucket
  readonly #rates = new UseRates()
  readonly #paid: PaidUses
  readonly #quotas: NamedQuotas
  /** What is being given back. */
  readonly #returning = new Set<Promise<unknown>>()

  constructor(options: FirstLevelCheckOptions) {
    this.#options = options
    const { nodes, revocations, clock, meter, maxEntries, maxBytes, refreshesPerSecond } = options
    const metrics = createFirstLevelMetrics(meter)
    this.#metrics = metrics
    const maxAgeMs = () => nodes.maxAgeMs()
    const { onEvict, notKept } = metrics
    this.#sampler = new CacheSampler({ clock, maxEntries, maxBytes })
    const watch = this.#sampler
    this.#cache = new FirstLevelCache({ maxEntries, maxBytes, revocations, maxAgeMs, onEvict, notKept, watch })
    this.#refreshes = new TokenBucket(clock, refreshesPerSecond)
    this.#paid = new PaidUses(clock)
    this.#quotas = new NamedQuotas(options)
  }

  /** @throws IntermixError NOT_READY before a node has told its config */
  vocabulary(): Vocabulary {
    const config = this.#options.nodes.config(NOBODY)
    if (config === undefined) throw new IntermixError('NOT_READY', 'no node has told its config yet')
    return config.vocabulary
  }

  /** Brings the gauges up to date. */
  measure(): void {
    this.#metrics.measure(this.#cache)
  }

  sample(): CacheSample {
    return this.#sampler.take(this.#cache)
  }

  recommended(entries: number): void {
    this.#metrics.recommended.set(entries)
  }

  /** Gives back what was paid for and not used; resolves when nodes have it, or gave no answer. */
  async close(): Promise<void> {
    this.#paid.close()
    await Promise.all(this.#returning)
  }

  check(bag: AttributeBag, options: CheckOptions): CheckOutcome | Promise<CheckOutcome> {
    const now = options.startedAt ?? this.#options.clock.monotonic()
    const request = seenRequest(bag, options.charging, this.#options)
    const { wanted } = request
    const { uses = 1 } = options
    if (uses < 0) {
      this.#giveBack(request, -uses, options.paidUnder ?? wanted?.config)
      return NOT_JUDGED_OUTCOME
    }
    if (wanted === undefined) return this.#ask(request, options, now)
    const found = this.#cache.find(wanted, now, isOwnCharge(options) ? UNCHARGED : ANY)
    if (found === undefined) return this.#ask(request, options, now)
    this.#metrics.kept.add()
    if (found.answer.upkeep !== undefined) this.#keepUp(found.answer, request, options, now)
    return this.#withQuotas(this.#outcome(found, wanted, options, now), request, options)
  }

  async charge(
    bag: AttributeBag,
    demands: ReadonlyMap<string, QuotaDemand>,
    options: QuotaOptions,
  ): Promise<ReadonlyMap<string, QuotaGrant>> {
    const request = seenRequest(bag, undefined, this.#options)
    return grantsFor(request, await this.#quotas.charge(request, demands, options), options)
  }

  /** The outcome with the quotas that the caller has named, where it may have them. */
  #withQuotas(
    outcome: CheckOutcome,
    request: SeenRequest,
    options: CheckOptions,
  ): CheckOutcome | Promise<CheckOutcome> {
    const { quotas } = options
    if (quotas === undefined || quotas.size === 0 || outcome.answer.status.code !== 0 || options.charging === 'none')
      return outcome
    const granted = (grants: Grants) => ({ ...outcome, quotas: grantsFor(request, grants, options) })
    const { clock } = this.#options
    const since = clock.monotonic()
    const grants = this.#quotas.charge(request, quotas, options)
    if (!(grants instanceof Promise)) return granted(grants)
    return grants.then((all) => {
      const answeredAt = clock.monotonic()
      return { ...granted(all), answer: afterWaiting(outcome.answer, answeredAt - since), answeredAt }
    })
  }

  #outcome(found: FoundFirst, { bag }: Wanted, options: CheckOptions, now: number): CheckOutcome {
    const { references } = options
    const { answer: kept, choosing } = found
    const reads = references === false ? NO_REFERENCES : together(choosing, kept.reads)
    const epoch = this.#stamp(kept.epoch, options)
    const uses = options.keepsAnswer === true ? this.#handOn(kept, epoch, options) : kept.usesLeft
    const answer = givenAgain(kept, now, uses, reads)
    const retold = options.shape === true ? retoldOf(found, answer, epoch) : undefined
    const outcome = { answer, quotas: NO_GRANTS, answeredAt: now, ...retold }
    return references !== false && bag instanceof NormalRequestBag ? outcomeAsSent(outcome, bag) : outcome
  }

  /** Under which number callers are told an answer that keep it by its shape; `undefined` where these may not keep it. */
  #stamp(epoch: Epoch, { shape }: CheckOptions): Epoch | undefined {
    return shape === true ? this.#options.retold?.stamp(epoch) : undefined
  }

  /** Takes uses for a caller that keeps the answer, too; most are left for others here. Of those that were paid for it says how many it wants. */
  #handOn(answer: StoredAnswer, epoch: Epoch | undefined, { shape, uses: wanted = 1 }: CheckOptions): number {
    if (shape === true && epoch === undefined) return 0
    if (answer.upkeep?.isPaid === true) return this.#paid.handOn(answer, wanted - 1)
    if (!answer.isUseBound) return answer.usesLeft
    const uses = Math.floor(answer.usesLeft * (shape === true ? FILTER_SHARE : HANDED_ON_SHARE))
    answer.usesLeft -= uses
    return uses
  }

  async #ask(request: SeenRequest, options: CheckOptions, startedAt: number): Promise<CheckOutcome> {
    const { clock } = this.#options
    const askedAt = clock.monotonic()
    const timeoutMs = options.timeoutMs - (askedAt - startedAt)
    try {
      const asked = await this.#askNodes(request, options, timeoutMs, askedAt)
      this.#metrics.node.add()
      return this.#told(asked, request, options)
    } catch (caught) {
      const failure = IntermixError.from(caught)
      const leftMs = timeoutMs - (clock.monotonic() - askedAt)
      const stale = failure.retryable ? this.#stale(request, options) : undefined
      // Who names quotas passes where these are granted, and not because nobody can be asked.
      const outcome =
        stale && (await attempt(() => this.#withQuotas(stale, request, { ...options, timeoutMs: Math.max(1, leftMs) })))
      if (outcome === undefined) this.#metrics.none.add()
      else this.#metrics.stale.add()
      if (outcome === undefined) throw failure
      return outcome
    }
  }

  /** What may be given where no node answers. It is given once: who keeps answers is to ask again. */
  #stale({ wanted }: SeenRequest, options: CheckOptions): CheckOutcome | undefined {
    const now = this.#options.clock.monotonic()
    const stale = wanted === undefined ? undefined : this.#cache.find(wanted, now, STALE)
    if (wanted === undefined || stale === undefined) return undefined
    const outcome = this.#outcome(stale, wanted, { ...options, keepsAnswer: false, shape: false }, now)
    return { ...outcome, answer: { ...outcome.answer, tier: 'stale', validForMs: 0, validUses: 0 } }
  }

  #told({ told, kept, grants, askedAt }: Asked, request: SeenRequest, options: CheckOptions): CheckOutcome {
    const { wanted } = request
    const { shape } = told
    const now = this.#options.clock.monotonic()
    // Its life went on while it was on its way, nobody knows for how long.
    const answer = afterWaiting(told.answer, now - askedAt)
    const isTold = options.references !== false
    // What an answer depended on is known of those alone that may be kept. The uses are those of the one that is kept here.
    const isGiven = kept !== undefined && shape !== undefined
    const stamp = isGiven ? this.#stamp(shape.epoch, options) : undefined
    const validUses =
      isGiven && options.keepsAnswer === true ? this.#handOn(kept.kept, stamp, options) : answer.validUses
    const given: Answer = isGiven
      ? { ...answer, validUses, referenced: isTold ? referencedBy(shape) : NO_REFERENCES }
      : { ...answer, validForMs: 0, validUses: 0 }
    const quotas = grants.size === 0 ? NO_GRANTS : grantsFor(request, grants, options)
    const { isPaid, staleForMs, usesUnbound = false } = told
    const isKept = shape !== undefined && stamp !== undefined && validUses > 0
    const keep = isKept ? { isPaid, usesUnbound, staleForMs, shape: { ...shape, epoch: stamp } } : { isPaid }
    const outcome: CheckOutcome = { answer: given, quotas, answeredAt: now, ...keep }
    return isTold && wanted?.bag instanceof NormalRequestBag ? outcomeAsSent(outcome, wanted.bag) : outcome
  }

  /** @param unmade checks that nobody has made: what was paid for them are uses, too */
  async #askNodes(
    request: SeenRequest,
    options: CheckOptions,
    timeoutMs: number,
    askedAt: number,
    unmade: 0 | 1 = 0,
  ): Promise<Asked> {
    const { nodes, clock, random } = this.#options
    const { charging = 'all', deduplicationId } = options
    const { bag, affinity: key } = request
    const { affinity, tenant } = key
    const isAhead = charging === 'all' && !isOwnCharge(options)
    const asked = options.quotas === undefined ? undefined : await this.#quotas.toAsk(request, options)
    const told = await nodes.ask({
      bag,
      timeoutMs,
      affinity,
      tenant,
      charging,
      uses: isAhead ? Math.max(this.#rates.count(affinity, askedAt), options.uses ?? 1) : 1,
      ...(asked === undefined ? {} : { quotas: asked.quotas }),
      ...(deduplicationId === undefined ? {} : { deduplicationId }),
    })
    // A node may have told its config meanwhile.
    const seen = request.wanted === undefined ? seenRequest(bag, charging, this.#options) : request
    const { wanted } = seen
    const refreshAfter = REFRESH_AFTER + random() * REFRESH_SPREAD
    const now = clock.monotonic()
    const kept = wanted && this.#cache.keep(wanted, told, { askedAt, now, refreshAfter, isAsked: unmade === 0 })
    const paidUnder = told.shape?.config ?? wanted?.config
    if (told.isPaid && kept !== undefined) {
      kept.kept.usesLeft += unmade
      this.#paid.watch(kept.kept, kept.former, (left) => this.#giveBack(request, left, paidUnder))
    } else if (told.isPaid) this.#giveBack(request, told.answer.validUses + unmade, paidUnder)
    // Nothing is granted to who is denied, whatever was before.
    const isGranted = asked !== undefined && told.answer.status.code === 0
    const grants = isGranted ? this.#quotas.learn(seen, asked, options, told.grants, askedAt) : told.grants
    return { told, kept, grants, askedAt }
  }

  /** Asks for another answer before this one ends, or before what it has paid for is used up. */
  #keepUp(found: FoundAnswer, request: SeenRequest, { charging }: CheckOptions, now: number): void {
    const { upkeep, freshUntil, usesLeft } = found
    if (upkeep === undefined) return
    const enough = upkeep.isPaid ? this.#rates.count(request.affinity.affinity, now) * ENOUGH_USES : 0
    if (upkeep.refreshAt === Number.POSITIVE_INFINITY || (now < upkeep.refreshAt && usesLeft >= enough)) return
    if (!upkeep.isPaid && !this.#refreshes.take()) {
      upkeep.refreshAt = (now + freshUntil) / 2
      return this.#metrics.refreshed.over_budget.add()
    }
    upkeep.refreshAt = Number.POSITIVE_INFINITY
    const asked: CheckOptions = { timeoutMs: BACKGROUND_TIMEOUT_MS, ...(charging === undefined ? {} : { charging }) }
    void this.#askNodes(request, asked, BACKGROUND_TIMEOUT_MS, now, 1).then(
      ({ kept }) => this.#metrics.refreshed[kept === undefined ? 'not_kept' : 'kept'].add(),
      () => this.#metrics.refreshed.failed.add(),
    )
  }

  /** Not under another config: its rules would take back what they have never charged. */
  #giveBack({ bag, affinity: key }: SeenRequest, left: number, paidUnder: string | undefined): void {
    if (left === 0 || this.#options.nodes.config(key)?.id !== paidUnder) return
    this.#metrics.returned.add(left)
    const { affinity, tenant } = key
    const uses = -Math.min(left, MAX_USES)
    // It may have another one by the time it hears.
    const question = { bag, timeoutMs: BACKGROUND_TIMEOUT_MS, affinity, tenant, uses, paidUnder }
    // What is lost on the way comes back with time, as all of a limit does.
    const done = this.#options.nodes
      .ask(question)
      .catch(() => undefined)
      .finally(() => this.#returning.delete(done))
    this.#returning.add(done)
  }
}

/** What callers are told that keep answers by their shape. */
function retoldOf({ answer: kept, chosen }: FoundFirst, { validUses }: Answer, epoch: Epoch | undefined) {
  const { upkeep, freshUntil } = kept
  if (upkeep === undefined) return undefined
  const { isPaid, staleUntil, asked: reads } = upkeep
  if (epoch === undefined || validUses === 0) return { isPaid }
  const usesUnbound = !kept.isUseBound
  return { isPaid, usesUnbound, staleForMs: staleUntil - freshUntil, shape: { ...chosen, reads, epoch } }
}

/** Whether the check charges what no other one has paid for: quotas that it names, or those of a retry. */
function isOwnCharge({ quotas, deduplicationId }: CheckOptions): boolean {
  return deduplicationId !== undefined || (quotas !== undefined && quotas.size > 0)
}

/** What somebody does who may fail. */
async function attempt<T>(act: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await act()
  } catch {
    return undefined
  }
}

const NOBODY = { affinity: '', tenant: '' }
