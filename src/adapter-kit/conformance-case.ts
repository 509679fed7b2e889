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
}

/** A handler in an environment of its own, for one case. */
export interface Subject {
  readonly adapter: AnyAdapter
  readonly handler: AnyHandler
  readonly env: TestEnvironment
  readonly clock: ManualClock
  readonly options: ConformanceOptions
}
