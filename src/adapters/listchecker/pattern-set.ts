// Many RE2 patterns as one test, in a time that callers cannot stretch: they choose the text.

import { RE2JS, RE2Set } from 're2js'

/**
 * Instructions times characters up to which one automaton is used for all patterns. It is the fastest for texts that it
 * has seen the like of, but a text can lead it through a new state with each character, each as costly as all of the
 * patterns together: some ten nanoseconds an instruction.
 */
const MAX_JOINT_WORK = 4_000_000
/** What the states of one pattern's own automaton may take, in bytes; it is 8 MB unless told. */
const STATE_BYTES = 64 * 1024

/** RE2 patterns, not anchored. */
export class PatternSet {
  readonly #patterns: readonly RE2JS[]
  readonly #joint = new RE2Set(RE2Set.UNANCHORED)
  readonly #program: number
  #isBounded = false

  /** @throws Error naming the first entry that is not an RE2 regular expression. */
  constructor(entries: readonly string[]) {
    this.#patterns = entries.map(compile)
    for (const entry of entries) this.#joint.add(entry)
    if (entries.length > 0) this.#joint.compile()
    this.#program = this.#patterns.reduce((sum, pattern) => sum + pattern.programSize(), 0)
  }

  get size(): number {
    return this.#patterns.length
  }

  /** Whether any pattern occurs in the text. */
  matches(text: string): boolean {
    if (this.size === 0) return false
    if (this.#program * text.length <= MAX_JOINT_WORK) return this.#joint.match(text).length > 0
    if (!this.#isBounded) this.#bound()
    return this.#patterns.some((pattern) => pattern.test(text))
  }

  #bound(): void {
    for (const pattern of this.#patterns) {
      const { dfa } = pattern.re2()
      dfa.maxMem = STATE_BYTES
      dfa.stateBudget = STATE_BYTES
      dfa.memBudget = STATE_BYTES
    }
    this.#isBounded = true
  }
}

function compile(entry: string): RE2JS {
  try {
    return RE2JS.compile(entry)
  } catch (error) {
    throw new Error(`"${entry}" is not an RE2 regular expression: ${(error as Error).message}`, { cause: error })
  }
}
