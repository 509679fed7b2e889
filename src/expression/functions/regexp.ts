// RE2 matching, unanchored and in linear time: patterns may come from a request.

import { RE2JS } from 're2js'
import { EvaluationError } from '../compiled.ts'

const CACHED_PATTERNS = 64

/** A compiled pattern, or why it is none. */
export type Pattern = RE2JS | EvaluationError

/** Compiles a pattern of RE2 syntax. */
export function compilePattern(text: string): Pattern {
  try {
    return RE2JS.compile(text)
  } catch (error) {
    return new EvaluationError(error instanceof Error ? error.message : String(error))
  }
}

/** Whether the pattern occurs anywhere in the text. */
export function findPattern(pattern: Pattern, text: string): boolean | EvaluationError {
  return pattern instanceof EvaluationError ? pattern : pattern.test(text)
}

/** Keeps the most recently used of the patterns that are known only at run time. */
export class PatternCache {
  readonly #patterns = new Map<string, Pattern>()

  get(text: string): Pattern {
    const known = this.#patterns.get(text)
    if (known !== undefined) {
      this.#patterns.delete(text)
      this.#patterns.set(text, known)
      return known
    }
    const pattern = compilePattern(text)
    this.#patterns.set(text, pattern)
    if (this.#patterns.size > CACHED_PATTERNS) {
      for (const oldest of this.#patterns.keys()) {
        this.#patterns.delete(oldest)
        break
      }
    }
    return pattern
  }
}
