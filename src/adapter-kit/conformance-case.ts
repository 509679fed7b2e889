// What a conformance case is, and what it is run with.

import type { AnyAdapter, AnyHandler } from './define-adapter.ts'
import type { FieldValue } from './instance.ts'
import type { ManualClock, TestEnvironment, TestEnvironmentOptions } from './test-environment.ts'

export interface ConformanceCase {
  readonly name: string
  /** Rejects with an assertion error where the adapter falls short. */
  readonly run: () => Promise<void>
}

export interface ConformanceOptions {
  /** Params as an operator would write them. Default: none. */
  readonly params?: Readonly<Record<string, unknown>>
  /** Fields to ask about, by template, instead of the suite's samples. */
  readonly fields?: Readonly<Record<string, Readonly<Record<string, FieldValue>>>>
  /** How the backend answers, for adapters that need one. Default: it cannot be reached. */
  readonly fetch?: typeof fetch
  readonly redis?: NonNullable<TestEnvironmentOptions['redis']>
  readonly limits?: NonNullable<TestEnvironmentOptions['limits']>
  /** How a backend of reports says that it does not take a batch. */
  readonly reportBackends?: ReportBackends
}

/** Backends that do not take a batch of three instances, each in the words of its kind. */
export interface ReportBackends {
  /** Refuses it for good. Default: HTTP status 400. */
  readonly permanent?: typeof fetch
  /** Fails. Default: HTTP status 503. */
  readonly retryable?: typeof fetch
  /** Wants to be asked later. Default: HTTP status 429 with `Retry-After: 7`. */
  readonly throttled?: typeof fetch
  /** How much later, in ms, where `throttled` is given. */
  readonly throttledMs?: number
  /** Takes the first instance, refuses the second for good, and asks for the third again. Default: there is none such. */
  readonly partly?: typeof fetch
  /** Takes smaller batches only. Default: there is none such. */
  readonly tooLarge?: typeof fetch
}

/** A handler in an environment of its own, for one case. */
export interface Subject {
  readonly adapter: AnyAdapter
  readonly handler: AnyHandler
  readonly env: TestEnvironment
  readonly clock: ManualClock
  readonly options: ConformanceOptions
}
