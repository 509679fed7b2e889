// What an answer depended on, told so that whoever keeps the answer can find it for other requests.

import type { SubjectTest } from './subject-test.ts'

/** What is asked for: a scalar (or whether a map is there), a key of a map, a whole map, or a predicate's answer. */
export type ReadKind = 'attribute' | 'key' | 'map' | 'predicate'

/** How a bag answers a question, as far as the next question can depend on it without the value. */
export type ReadOutcome = 'absent' | 'no-map' | 'unknown' | 'present' | 'true' | 'false'

/** A question to a bag, without what asks it: enough to ask it in another process. */
export interface ReadQuestion {
  readonly kind: ReadKind
  readonly name: string
  /** The key of a map. */
  readonly key?: string | undefined
  /** Of a predicate only. */
  readonly test?: SubjectTest | undefined
}

export interface AskedQuestion {
  /** Two questions with one id are the same. */
  readonly id: string
  readonly question: ReadQuestion
  readonly outcome: ReadOutcome
}

/**
 * An answer is that of every request whose own attributes answer the same questions alike: first those by which the rules
 * of a config were chosen, then those that were asked under these rules.
 */
export interface AnswerShape {
  /** Names the config. */
  readonly config: string
  readonly choosing: readonly AskedQuestion[]
  /** Names the rules that were chosen: the same in every config in which they are the same. */
  readonly scope: string
  readonly reads: readonly AskedQuestion[]
  /** Names of the handlers that the rules can call, as revocations name them. */
  readonly handlers: readonly string[]
  /** Whether all of these rules let pass what they cannot decide, so that a request may pass which nobody judges. */
  readonly failsOpen?: boolean | undefined
  /** Up to which revocation the answer takes all into account. */
  readonly epoch: { readonly generation: string; readonly sequence: number }
  /** Attributes that the node may have found where requests did not bring them: a revocation of one of their values is for these. */
  readonly generated: readonly string[]
}
