// The contract between Intermix and an adapter: what an adapter declares, and what it is given.

import type { z } from 'zod'
import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import type { Status } from '../kernel/status.ts'
import type { AttributeValue } from '../kernel/value.ts'
import type { DirectResponse } from '../kernel/verdict.ts'
import type { DurableCounters } from './durable-counters.ts'
import type { ExportLimits } from './exporter/limits.ts'
import type { CheckTemplate, Instance, InstanceTypes, ReportTemplate, TemplateName } from './instance.ts'
import type { ScriptRunner } from './script-runner.ts'

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

export interface QuotaRequest {
  readonly amount: number
  readonly bestEffort: boolean
  readonly deduplicationId: string
}

export interface QuotaResult {
  readonly status: Status
  readonly granted: number
  readonly validForMs: number
}

type Awaitable<T> = T | Promise<T>

/** A running handler. `start` may do I/O, `stop` must be safe without `start` and safe twice. */
export interface Handler {
  start?(): Awaitable<void>
  stop?(): Awaitable<void>
  readonly check?: {
    readonly [T in CheckTemplate]?: (instance: InstanceTypes[T], call: CallContext) => Awaitable<CheckResult>
  }
  readonly report?: {
    readonly [T in ReportTemplate]?: (instances: readonly InstanceTypes[T][], call: ReportContext) => Awaitable<void>
  }
  readonly quota?: {
    quota(instance: InstanceTypes['quota'], request: QuotaRequest, call: CallContext): Awaitable<QuotaResult>
  }
  readonly attributes?: {
    /** Values by output field in camelCase; a field left out is absent. */
    kubernetes(instance: Instance, call: CallContext): Awaitable<Readonly<Record<string, AttributeValue>>>
  }
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
   * `render` gives the body.
   */
  expose(path: string, contentType: string, render: () => Awaitable<string>): void
  /**
   * Scripts on the Redis at `url` (`redis://…`), or on Intermix's own durable Redis where no URL is given. Absent, or
   * throwing `NOT_READY`, where there is no such Redis. Connects lazily; nothing has to be closed by the adapter.
   */
  readonly redis?: (url: string | undefined) => ScriptRunner
}

/** A mistake in a handler's params that the schema cannot express. `path` is relative to the params. */
export interface ConfigIssue {
  readonly path: readonly (string | number)[]
  readonly message: string
}

/** Everything that Intermix knows of an adapter. `C` is the parsed config, `I` what operators may write. */
export interface AdapterDefinition<C = unknown> {
  /** Name as in `compiledAdapter`: lower-case letters and digits. */
  readonly name: string
  readonly description: string
  readonly templates: readonly TemplateName[]
  /** Schema of `params` with every default; keys in camelCase (operators may write snake_case too). */
  readonly config: z.ZodType<C>
  /**
   * Whether a check costs a call out of the process. What costs none is computed each time and never stored in the
   * mesh-wide tier.
   */
  readonly doesIo: boolean
  /** How long a verdict may be served stale while the backend fails, in ms. Default 10 min; 0 for quotas. */
  readonly staleIfErrorMs?: number
  /** What the backend of reports wants otherwise than most. Deadlines are for the handler to say: `reportTimeout`. */
  readonly reportLimits?: Partial<ExportLimits>
  validate?(config: C): readonly ConfigIssue[]
  create(config: C, env: AdapterEnvironment): Handler
}

/** Declares an adapter; it exists to infer the config type from the schema. */
export function defineAdapter<S extends z.ZodType>(
  definition: Omit<AdapterDefinition<z.output<S>>, 'config'> & { readonly config: S },
): AdapterDefinition<z.output<S>> {
  return definition as AdapterDefinition<z.output<S>>
}

/** An adapter of any config type, as catalogues hold it. */
// oxlint-disable-next-line no-explicit-any -- the catalogue holds adapters of every config type
export type AnyAdapter = AdapterDefinition<any>
