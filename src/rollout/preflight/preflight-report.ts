// What a pre-flight is asked, and what it says of a config.

import type { ConfigText } from '../../config/config-texts.ts'
import type { FailPolicy } from '../../config/snapshot.ts'
import type { EncodedValue } from '../../kernel/value-json.ts'
import type { Problem } from '../../kernel/problem.ts'

/** The attributes of a request, in a form that can be written down. */
export type EncodedBag = Readonly<Record<string, EncodedValue>>

/** How a node would compile the config. */
export interface PreflightCompiling {
  /** Modules with adapters, as the setting `--adapters` lists them, and the folder that relative paths count from. */
  readonly adapters: string
  readonly adaptersFrom: string
  readonly defaultNamespace: string
  readonly maxEvaluationSteps: number
  readonly requireRules: boolean
  readonly processes: number
}

/** How much a config may take. */
export interface PreflightLimits {
  /** Old objects of the thread, in MiB: what a node needs beside the config that it serves. */
  readonly memoryMb: number
  /** Processor time to read, compile and index the config, and to evaluate the corpus, in ms from when the thread has its code. */
  readonly timeoutMs: number
  /** Processor time that one request may take, in ms. */
  readonly evaluationMs: number
  /** Bags to evaluate. */
  readonly bags: number
}

export interface PreflightRequest {
  /** What problems of the config as a whole call it. */
  readonly name: string
  readonly files: readonly ConfigText[]
  readonly recorded: readonly EncodedBag[]
  readonly compile: PreflightCompiling
  readonly limits: PreflightLimits
}

/** A rule of which it was unknown what it says, under some of the bags. */
export interface UnknownRule {
  readonly rule: string
  readonly failPolicy: FailPolicy
  /** Of recorded bags as they were, and of those that lacked something or were made up. */
  readonly recorded: number
  readonly madeUp: number
  /** What failed the first time. Quotes the config, and never a value of a request. */
  readonly example: string
}

export interface PreflightFigures {
  readonly rules: number
  /** Reading, compiling and indexing, then evaluating, in ms. */
  readonly compileMs: number
  readonly evaluateMs: number
  /** Memory in use once the config was compiled, in bytes, beyond that of the empty thread. */
  readonly memoryBytes: number
  readonly recorded: number
  readonly madeUp: number
  /** The most processor time that one bag took, in ms. */
  readonly slowestMs: number
  readonly unknowns: readonly UnknownRule[]
  readonly warnings: readonly Problem[]
}

/**
 * Why a config may not be used: `invalid`: it has errors; `slow`: one request takes too long; `throws`: evaluating it
 * fails as no evaluation may; `timeout`, `memory`, `crash`: as they say. `unavailable` says nothing of the config: it
 * could not be examined.
 */
export type PreflightReason = 'invalid' | 'slow' | 'throws' | 'timeout' | 'memory' | 'crash' | 'unavailable'

export interface PreflightRefusal {
  readonly ok: false
  readonly reason: PreflightReason
  readonly message: string
  /** The rule that was evaluated then, where that is known. */
  readonly rule?: string | undefined
  /** Errors first; at most 100. */
  readonly problems: readonly Problem[]
}

export type PreflightOutcome = { readonly ok: true; readonly figures: PreflightFigures } | PreflightRefusal

/** A config that may not be used. */
export function refusal(
  reason: PreflightReason,
  message: string,
  more: Partial<Pick<PreflightRefusal, 'rule' | 'problems'>> = {},
): PreflightRefusal {
  return { ok: false, reason, message, problems: [], ...more }
}
