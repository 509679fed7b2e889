// The contract between Intermix and an adapter: what an adapter declares, and what it is given.

import type { z } from 'zod'
import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import type { Status } from '../kernel/status.ts'
import type { AttributeValue } from '../kernel/value.ts'
import type { DirectResponse } from '../kernel/verdict.ts'
import type { Aggregation } from './aggregation.ts'
import type { DurableCounters } from './durable-counters.ts'
import type { Exposed } from './exposed-part.ts'
import type { ExportWishes } from './exporter/limits.ts'
import type { Instance } from './instance.ts'
import type { Limits } from './limits.ts'
import type { RedisServer, ScriptRunner } from './script-runner.ts'
import type { InstanceOf, TemplateDefinition, Variety } from './template.ts'
import type { BuiltInTemplate, TemplateOf, TemplateReference } from './templates.ts'

/** What a check adapter answers. A promise means that it did I/O; a plain value is used at once. */
export interface CheckResult {
  /**
   * Code 0 allows, every other code denies. A failure to decide is thrown, not returned: an `IntermixError` with
   * `BACKEND_FAILED`, whose option `backend: 'answered'` says that the backend is alive and answered with an error.
   */
  readonly status: Status
  /** How long the answer may be reused, in milliseconds; 0 forbids it, a day is the most. Default: Mixer's minute. */
  readonly validForMs?: number
  /** How often the answer may be given again after the check that it answers. Default: 10 000. */
  readonly validUses?: number
  /** The HTTP response that the caller gets when this denies. */
  readonly directResponse?: DirectResponse
  /** For check-with-output templates. */
  readonly output?: Readonly<Record<string, AttributeValue>>
}

/** What is known of the call; `signal` aborts when the deadline has passed and nobody waits any more. */
export interface CallContext {
  readonly signal: AbortSignal
  /** Milliseconds on the environment's monotonic clock at which the caller gives up. */
  readonly deadline: number
}

/** A batch of instances of one template for a report handler. */
export interface ReportContext extends CallContext {
  /** Stable over retries of the same batch: hand it on as an idempotency key. */
  readonly batchId: string
}

/** Which instances of a batch a backend did not take. Where a method returns nothing, it took all of them. */
export interface ReportResult {
  readonly failed: readonly FailedInstance[]
}

export interface FailedInstance {
  /** Its place in the batch, from 0. */
  readonly index: number
  /** For a dead letter or a log. */
  readonly reason: string
  /** Whether it may be taken another time; else it is refused for good. */
  readonly retry: boolean
}

export interface QuotaRequest {
  readonly amount: number
  readonly bestEffort: boolean
  /** The same for each retry of a request, and for all that it charges: a handler knows a retry of a charge by its counter, too. Empty: none. */
  readonly deduplicationId: string
}

/** What is given back of an amount that was charged ahead of need and has not been used. */
export interface UnusedCharge<I = Instance> {
  readonly instance: I
  readonly amount: number
}

export interface QuotaResult {
  readonly status: Status
  readonly granted: number
  readonly validForMs: number
  /** The limits that were charged, as they stand now: callers of HTTP learn of them. */
  readonly limits?: readonly LimitStanding[]
}

export interface LimitStanding {
  /** For callers; letters, digits, `-`, `_` and `.`. */
  readonly name: string
  /** Most that is granted in a window. */
  readonly amount: number
  /** Milliseconds; `undefined` where it is no matter of time. */
  readonly windowMs?: number
  readonly left: number
  /** Milliseconds until it is as if nothing had been charged. */
  readonly resetMs: number
  /** Milliseconds until what was refused could be granted; 0 where this limit refused nothing, infinite for never. */
  readonly retryAfterMs: number
  /**
   * For how long, in ms, what is charged now may be used: so long a caller may pay ahead, at most a share of what is left. 0 where
   * each use is to be charged when it comes. Absent where what is charged is held until it is given back, or nothing is said.
   */
  readonly usableMs?: number
}

/** One of several charges that belong to one request. */
export interface QuotaCharge<I = Instance> {
  readonly instance: I
  readonly request: QuotaRequest
}

/** A charge whose request has ended, by the deduplication id that it was made with. */
export interface EndedCharge<I = Instance> {
  readonly instance: I
  readonly deduplicationId: string
}

type Awaitable<T> = T | Promise<T>
/** What a generator puts out, by output field in camelCase; a field left out is absent. */
type Output = Readonly<Record<string, AttributeValue>>

/** How a template is handled, by its variety. */
interface Methods<I> {
  check(instance: I, call: CallContext): Awaitable<CheckResult>
  report(instances: readonly I[], call: ReportContext): Awaitable<ReportResult | void>
  quota(instance: I, request: QuotaRequest, call: CallContext): Awaitable<QuotaResult>
  attributes(instance: I, call: CallContext): Awaitable<Output>
}

interface Startable {
  start?(): Awaitable<void>
  stop?(): Awaitable<void>
}

/** By template: takes what an aggregation of the adapter has added up, as `report` takes instances. */
interface Aggregating {
  readonly aggregate?: Readonly<Record<string, ((content: object, call: ReportContext) => Awaitable<void>) | undefined>>
}

/** By template: charges several instances in one step, all or none. Without it they are charged one after the other. */
interface ChargingTogether {
  readonly quotaTogether?: Readonly<
    Record<
      string,
      ((charges: readonly QuotaCharge[], call: CallContext) => Awaitable<readonly QuotaResult[]>) | undefined
    >
  >
}

/** What operators ask of quotas. Each says to how many counters something was charged. */
interface Resettable {
  /** By template: forgets what was charged for an instance. */
  readonly quotaReset?: Readonly<Record<string, ((instance: Instance) => Awaitable<number>) | undefined>>
  /** Forgets what was charged for all instances of a name; for all instances where there is none. */
  readonly quotaResetAll?: (instance?: string) => Awaitable<number>
}

/**
 * By template: gives back what requests held that have ended, of many at once, and says how many of them held something.
 * What holds nothing, or is told a second time, changes nothing.
 */
interface GivingBack {
  readonly quotaEnded?: Readonly<
    Record<string, ((ended: readonly EndedCharge[], call: CallContext) => Awaitable<number>) | undefined>
  >
  /** What callers have charged ahead and not used. Who lacks this keeps it until its window is over. */
  readonly quotaUnused?: Readonly<
    Record<string, ((unused: readonly UnusedCharge[], call: CallContext) => Awaitable<void>) | undefined>
  >
}

/**
 * A running handler that takes some templates: under each variety a method for each of them, by name. `start` may do
 * I/O, `stop` must be safe without `start` and safe twice.
 */
export type Handler<T extends TemplateDefinition = BuiltInTemplate> = Startable &
  Aggregating &
  ChargingTogether &
  GivingBack &
  Resettable & {
    readonly [V in Variety]?: {
      readonly [K in Extract<T, { readonly variety: V }> as K['name']]?: Methods<InstanceOf<K>>[V]
    }
  }

/** A running handler of whatever templates, as it is called: by name. */
export type AnyHandler = Startable &
  Aggregating &
  ChargingTogether &
  GivingBack &
  Resettable & {
    readonly [V in Variety]?: Readonly<Record<string, Methods<Instance>[V] | undefined>>
  }

/** What an adapter may use of the outside world. Anything else makes it untestable. */
export interface AdapterEnvironment {
  /** Fully qualified name of the handler, for logs and errors. */
  readonly handlerName: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  /** HTTP client; adapters pass `signal` on. */
  readonly fetch: typeof fetch
  /** Runs `task` every `everyMs` until the handler stops; a failure is logged and does not end the schedule. */
  schedule(everyMs: number, task: (signal: AbortSignal) => Awaitable<void>): void
  /** Counters of this handler that survive the process; in memory where there is no Redis. */
  readonly counters: DurableCounters
  /**
   * Serves an HTTP GET path of the process-wide adapter listener (`--prometheus-address`) until the handler stops.
   * `render` gives the body, whole or in parts; parts of one key are put together with those of other handlers and of
   * the node's other processes.
   */
  expose(path: string, contentType: string, render: () => Awaitable<Exposed>): void
  /**
   * Scripts on a Redis that the handler names, by its URL alone or with more, or on Intermix's own durable Redis. Absent,
   * or throwing `NOT_READY`, where there is no such Redis. Connects when it is first asked for, which is best done when
   * the handler is made; nothing has to be closed by the adapter.
   * @throws IntermixError INVALID_SETTING for a bad URL, or a file that cannot be used.
   */
  readonly redis?: (server: RedisServer | string | undefined) => ScriptRunner
  /**
   * Limits of this handler that all nodes share, in Intermix's own durable Redis; in the memory of this process where there is
   * none. They are there also while Redis is away, as `LimitCharge.away` says. Absent where nothing counts, as in tests.
   */
  readonly limits?: Limits
}

/** A mistake in a handler's params that the schema cannot express. `path` is relative to the params. */
export interface ConfigIssue {
  readonly path: readonly (string | number)[]
  readonly message: string
}

/** Everything that Intermix knows of an adapter. `C` is the parsed config, `H` what its handlers are. */
export interface AdapterDefinition<C = unknown, H = AnyHandler> {
  /** Name as in `compiledAdapter`: lower-case letters and digits. */
  readonly name: string
  readonly description: string
  /** Built-in templates by name, others by their definition: an adapter brings its own ones along. */
  readonly templates: readonly TemplateReference[]
  /** Schema of `params` with every default; keys in camelCase (operators may write snake_case too). */
  readonly config: z.ZodType<C>
  /**
   * Whether a check costs a call out of the process. What costs none is computed each time and never stored in the
   * mesh-wide tier.
   */
  readonly doesIo: boolean
  /** How long a verdict may be served stale while the backend fails, in ms. Default 10 min; 0 for quotas. */
  readonly staleIfErrorMs?: number
  /** What the backend of reports wants otherwise than most. */
  readonly reportLimits?: ExportWishes
  /**
   * Milliseconds for one call, by what it is for, where the handler says nothing: `timeout` and `reportTimeout`. Unless
   * given, what the node is set to: 200 for checks, 5000 for a batch of reports.
   */
  readonly timeouts?: { readonly checkMs?: number; readonly reportMs?: number }
  /** Set where it counts in its process what is a bound for all: a node of several processes refuses it, and names this. */
  readonly oneProcess?: { readonly insteadUse: string }
  validate?(config: C): readonly ConfigIssue[]
  /** Where a handler sends reports, for people who read dead letters: an address, without secrets. */
  target?(config: C): string
  /**
   * How instances of a template of variety report are added up before they are queued, where they are. The handler then
   * has a method `aggregate` for it, and still takes single instances of it, which may lie in queues and dead letters.
   */
  aggregation?(template: string, config: C): Aggregation | undefined
  /** Whether a charge of this instance (its full name) holds something until its request has ended: then reports tell `quotaEnded`. */
  holdsUntilEnd?(instance: string, config: C): boolean
  create(config: C, env: AdapterEnvironment): H
}

/** A conditional type, so that the compiler knows the templates before it looks at the methods for them. */
type HandlerFor<R extends TemplateReference> = [TemplateOf<R>] extends [infer T extends TemplateDefinition]
  ? Handler<T>
  : never

/** Declares an adapter; it exists to infer the config's type from the schema, and those of instances from the templates. */
export function defineAdapter<S extends z.ZodType, const R extends readonly TemplateReference[]>(
  definition: Omit<AdapterDefinition<z.output<S>, HandlerFor<R[number]>>, 'config' | 'templates'> & {
    readonly config: S
    readonly templates: R
  },
): AdapterDefinition<z.output<S>, HandlerFor<R[number]>> {
  return definition as AdapterDefinition<z.output<S>, HandlerFor<R[number]>>
}

/** An adapter of any config type, as catalogues hold it. */
// oxlint-disable-next-line no-explicit-any -- the catalogue holds adapters of every config type
export type AnyAdapter = AdapterDefinition<any>
