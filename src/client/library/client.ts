// What a program has of Intermix: checks that are answered from its own memory where they can be, quotas and reports.

import type { AttributeBag, Vocabulary } from '../../kernel/attribute-bag.ts'
import { pause, within } from '../../kernel/deadline.ts'
import { IntermixError } from '../../kernel/errors.ts'
import type { Clock } from '../../kernel/ports.ts'
import { refusalAnswer } from '../../kernel/refusal-answer.ts'
import type {
  CheckOptions,
  CheckOutcome,
  CheckService,
  QuotaDemand,
  QuotaGrant,
  QuotaService,
} from '../../kernel/services.ts'
import { CheckResult, type Grant } from './check-result.ts'
import { type Attributes, copyOf, GivenBag } from './given-attributes.ts'
import { KeepAlive } from './keep-alive.ts'

/** What a request is known by: attributes, a bag that does not change any more, or what makes one of the vocabulary. */
export type Described = Attributes | AttributeBag | ((vocabulary: Vocabulary) => AttributeBag)

/** How one check is to be answered. */
export interface ClientCheckOptions {
  /** How long to wait for nodes, in ms. */
  readonly timeoutMs?: number
  /** Quotas to charge where the check allows: by name, how much of each. */
  readonly quotas?: Readonly<Record<string, number | QuotaDemand>>
  /** The same for each retry of a call: quotas are not charged twice. */
  readonly deduplicationId?: string
  /** Which quotas an allowed check charges: `all` that rules name (the default), those that are `named` here, or `none`. */
  readonly charging?: 'all' | 'named' | 'none'
}

export interface ClientQuotaOptions extends Pick<ClientCheckOptions, 'timeoutMs' | 'deduplicationId'> {
  /** Whether a part of the amount may be granted. */
  readonly bestEffort?: boolean
}

/** What a client is made of. */
export interface ClientParts {
  readonly check: CheckService & QuotaService
  readonly records: {
    /** Takes a record; it is read at once. */
    add(record: AttributeBag): void
    /** Counts records that were given up before they could be read. */
    giveUp(count: number): void
  }
  readonly clock: Clock
  /** How long a check waits unless told otherwise. */
  readonly timeoutMs: number
  figures(): Readonly<Record<string, number>>
  readonly onWarning: (message: string, fields: object) => void
  /** Sends what is to be reported and gives back what is not used, for so long at most, and ends all that is open. */
  close(timeoutMs: number): Promise<void>
}

const CLOSE_MS = 5_000
const READY_MS = 10_000
/** How often it is asked whether a node has told its config. */
const LOOK_MS = 10
/** Records that wait for the vocabulary by which they are read. */
const MAX_UNREAD = 1_000

export class Client implements AsyncDisposable {
  readonly #parts: ClientParts
  readonly #plain: CheckOptions
  readonly #unread: Described[] = []
  readonly #alive = new KeepAlive()
  #isClosed = false
  /** Where somebody waits for it. */
  #firstConfig: Promise<void> | undefined

  constructor(parts: ClientParts) {
    this.#parts = parts
    this.#plain = { timeoutMs: parts.timeoutMs, references: false }
  }

  /**
   * Whether policy allows a request. Where an answer is at hand it is returned as it is, without a promise; else nodes are
   * asked, and it comes later: `await` takes both.
   *
   * Throws, or rejects with, an IntermixError: INVALID_ATTRIBUTE for a value that is not of its type; `retryable` ones where no
   * node answers in time and no kept answer may stand in. What then happens is the caller's to say. A request that is refused for
   * what it is, such as one whose path has two readings, is denied.
   */
  check(request: Described, options?: ClientCheckOptions): CheckResult | Promise<CheckResult> {
    if (this.#isClosed) throw closed()
    const { check } = this.#parts
    const vocabulary = this.#vocabulary()
    if (vocabulary === undefined) return this.#checkWhenReady(request, options)
    try {
      const bag = bagOf(request, vocabulary)
      const outcome = check.check(bag, options === undefined ? this.#plain : this.#optionsOf(options))
      if (!(outcome instanceof Promise)) return new CheckResult(outcome)
      return this.#later(outcome, bag)
    } catch (caught) {
      return refusedOrThrown(caught)
    }
  }

  /** Charges a quota for a request, without asking whether that is allowed. An amount below 0 gives back. Rejects as `check` does. */
  async quota(name: string, amount: number, request: Described, options: ClientQuotaOptions = {}): Promise<Grant> {
    if (this.#isClosed) throw closed()
    const { clock, check } = this.#parts
    const { timeoutMs = this.#parts.timeoutMs, bestEffort = false, deduplicationId } = options
    const deadline = clock.monotonic() + timeoutMs
    const own = ownOf(request)
    const bag = bagOf(own, await this.#vocabularyWithin(timeoutMs))
    detach(bag)
    const charged = check.charge(bag, new Map([[name, { amount, bestEffort }]]), {
      timeoutMs: Math.max(1, deadline - clock.monotonic()),
      references: false,
      ...(deduplicationId === undefined ? {} : { deduplicationId }),
    })
    const grants = await this.#alive.during(charged)
    const grant = grants.get(name)
    if (grant === undefined) throw new IntermixError('INTERNAL', `the node said nothing of the quota ${name}`)
    return grant
  }

  /**
   * Hands a record over to be reported: at once, and whatever becomes of nodes meanwhile. What there is no room for is dropped, the
   * oldest first, and counted.
   * @throws IntermixError INVALID_ATTRIBUTE
   */
  report(record: Described): void {
    if (this.#isClosed) throw closed()
    const vocabulary = this.#vocabulary()
    if (vocabulary === undefined) return this.#keepUnread(record)
    this.#handOver(vocabulary)
    this.#add(record, vocabulary)
  }

  /** Resolves once a node has told its config; rejects with DEADLINE_EXCEEDED. Nobody has to wait for it: checks do. */
  async ready({ timeoutMs = READY_MS }: { readonly timeoutMs?: number } = {}): Promise<void> {
    await this.#ready(timeoutMs)
  }

  /** Figures of what it has done, by the names of docs/metrics.md. */
  stats(): Readonly<Record<string, number>> {
    return this.#parts.figures()
  }

  /** Sends what is to be reported, for so long at most, and closes all connections. What waits for an answer fails. */
  async close({ timeoutMs = CLOSE_MS }: { readonly timeoutMs?: number } = {}): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const vocabulary = this.#vocabulary()
    if (vocabulary !== undefined) this.#handOver(vocabulary)
    await this.#alive.during(this.#parts.close(timeoutMs))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** For middlewares, whose times are of the same clock. */
  get clock(): Clock {
    return this.#parts.clock
  }

  /** For middlewares: tells what went wrong to whoever wants to hear it. */
  warn(message: string, fields: object): void {
    this.#parts.onWarning(message, fields)
  }

  #vocabulary(): Vocabulary | undefined {
    try {
      return this.#parts.check.vocabulary()
    } catch (caught) {
      if (caught instanceof IntermixError && caught.code === 'NOT_READY') return undefined
      throw caught
    }
  }

  async #checkWhenReady(request: Described, options: ClientCheckOptions = {}): Promise<CheckResult> {
    const { clock } = this.#parts
    const { timeoutMs = this.#parts.timeoutMs } = options
    const deadline = clock.monotonic() + timeoutMs
    const own = ownOf(request)
    await this.#ready(timeoutMs)
    return await this.check(own, { ...options, timeoutMs: Math.max(1, deadline - clock.monotonic()) })
  }

  async #later(outcome: Promise<CheckOutcome>, bag: AttributeBag): Promise<CheckResult> {
    try {
      detach(bag)
    } catch (caught) {
      // Nobody waits for it any more.
      outcome.catch(() => undefined)
      throw caught
    }
    try {
      return new CheckResult(await this.#alive.during(outcome))
    } catch (caught) {
      return refusedOrThrown(caught)
    }
  }

  async #vocabularyWithin(timeoutMs: number): Promise<Vocabulary> {
    await this.#ready(timeoutMs)
    return this.#parts.check.vocabulary()
  }

  async #ready(timeoutMs: number): Promise<void> {
    if (this.#vocabulary() !== undefined) return
    this.#firstConfig ??= this.#awaitConfig()
    const configured = within(this.#parts.clock, timeoutMs, this.#firstConfig, () => {
      throw new IntermixError('DEADLINE_EXCEEDED', 'no node has told its config in time')
    })
    await this.#alive.during(configured)
  }

  async #awaitConfig(): Promise<void> {
    while (this.#vocabulary() === undefined) {
      if (this.#isClosed) throw closed()
      await pause(this.#parts.clock, LOOK_MS)
    }
    this.#firstConfig = undefined
    this.#handOver(this.#parts.check.vocabulary())
  }

  #keepUnread(record: Described): void {
    this.#unread.push(ownOf(record))
    if (this.#unread.length > MAX_UNREAD) {
      this.#unread.shift()
      this.#parts.records.giveUp(1)
    }
    this.#firstConfig ??= this.#awaitConfig()
    this.#firstConfig.catch(() => undefined)
  }

  #add(record: Described, vocabulary: Vocabulary): void {
    const bag = bagOf(record, vocabulary)
    detach(bag)
    this.#parts.records.add(bag)
  }

  #handOver(vocabulary: Vocabulary): void {
    for (const record of this.#unread.splice(0)) {
      try {
        this.#add(record, vocabulary)
      } catch (caught) {
        this.#parts.records.giveUp(1)
        this.warn('a record cannot be reported', { error: IntermixError.from(caught).message })
      }
    }
  }

  #optionsOf({
    timeoutMs = this.#parts.timeoutMs,
    quotas,
    deduplicationId,
    charging,
  }: ClientCheckOptions): CheckOptions {
    return {
      timeoutMs,
      references: false,
      ...(quotas === undefined ? {} : { quotas: demandsOf(quotas) }),
      ...(deduplicationId === undefined ? {} : { deduplicationId }),
      ...(charging === undefined ? {} : { charging }),
    }
  }
}

function demandsOf(quotas: NonNullable<ClientCheckOptions['quotas']>): ReadonlyMap<string, QuotaDemand> {
  const demands = new Map<string, QuotaDemand>()
  for (const [name, demand] of Object.entries(quotas))
    demands.set(name, typeof demand === 'number' ? { amount: demand, bestEffort: false } : demand)
  return demands
}

function isBag(request: Described): request is AttributeBag {
  const { get, names } = request as Partial<AttributeBag>
  return typeof get === 'function' && typeof names === 'function'
}

function bagOf(request: Described, vocabulary: Vocabulary): AttributeBag {
  if (typeof request === 'function') return request(vocabulary)
  return isBag(request) ? request : new GivenBag(request, vocabulary)
}

/** What the caller may change later is copied. */
function ownOf(request: Described): Described {
  return typeof request === 'function' || isBag(request) ? request : copyOf(request)
}

function detach(bag: AttributeBag): void {
  if (bag instanceof GivenBag) bag.detach()
}

/** A request that is refused for what it is, as a denial. @throws what else it was */
function refusedOrThrown(caught: unknown): CheckResult {
  const answer = refusalAnswer(caught)
  if (answer === undefined) throw caught
  return new CheckResult({ answer, quotas: NO_GRANTS })
}

const NO_GRANTS: ReadonlyMap<string, QuotaGrant> = new Map()

function closed(): IntermixError {
  return new IntermixError('CANCELLED', 'the client is closed')
}
