// RE2 matching, unanchored and in linear time. Patterns may come from a request, so their size, the memory that they
// take and the work of matching them are bounded.

import { LRUCache } from 'lru-cache'
import { RE2JS } from 're2js'
import { messageOf } from '../../kernel/errors.ts'
import { EvaluationError } from '../compiled.ts'
import { EXHAUSTED, spend } from '../steps.ts'
import { estimateProgram } from './pattern-size.ts'

/** A pattern that is known only at run time may be so long, and make a program of so many instructions. */
const MAX_REQUEST_PATTERN_LENGTH = 512
const MAX_REQUEST_PROGRAM = 1_000
/** Compiling a character of a pattern is worth so many steps. */
const COMPILE_STEPS = 20
/** Instructions times characters that count as a step. Patterns of a request are built to be slow, those of a config not. */
const STEP_MATCHING = { config: 256, request: 8 } as const
/** Memory that the matcher of one pattern may fill with states (it is 8 MB unless told), in bytes. */
const MATCHER_BYTES = 256 * 1024
/** What a compiled pattern takes beside that, and for each instruction, in bytes. */
const PATTERN_BYTES = 32 * 1024
const INSTRUCTION_BYTES = 200
/** Memory that all patterns of requests may take together. */
const CACHE_BYTES = 16 * 1024 * 1024

/** A compiled pattern. */
class Pattern {
  readonly program: number
  readonly #regex: RE2JS
  readonly #stepMatching: number
  #isBounded = false

  constructor(regex: RE2JS, origin: keyof typeof STEP_MATCHING) {
    this.#regex = regex
    this.#stepMatching = STEP_MATCHING[origin]
    this.program = regex.programSize()
  }

  find(text: string): boolean | EvaluationError {
    if (!spend(Math.ceil((this.program * text.length) / this.#stepMatching))) return EXHAUSTED
    if (!this.#isBounded) this.#bound()
    return this.#regex.test(text)
  }

  #bound(): void {
    const { dfa } = this.#regex.re2()
    dfa.maxMem = MATCHER_BYTES
    dfa.stateBudget = MATCHER_BYTES
    dfa.memBudget = MATCHER_BYTES
    this.#isBounded = true
  }
}

/** A compiled pattern, or why it is none. */
export type CompiledPattern = Pattern | EvaluationError

/** Patterns of configs that were compiled last: rules often share one, and each is looked at more than once. */
const configPatterns = new LRUCache<string, CompiledPattern>({ max: 64 })

/** Compiles a pattern of RE2 syntax that a config gives. */
export function compilePattern(text: string): CompiledPattern {
  const known = configPatterns.get(text)
  if (known !== undefined) return known
  const pattern = compile(text, 'config')
  configPatterns.set(text, pattern)
  return pattern
}

/** Instructions of the program that a pattern of a config makes; infinite where it does not compile. */
export function programSize(text: string): number {
  const pattern = compilePattern(text)
  return pattern instanceof EvaluationError ? Number.POSITIVE_INFINITY : pattern.program
}

/** Whether the pattern occurs anywhere in the text. */
export function findPattern(pattern: CompiledPattern, text: string): boolean | EvaluationError {
  return pattern instanceof EvaluationError ? pattern : pattern.find(text)
}

/** Patterns of requests, the most recently used ones; bounded by the memory that they may come to take. */
const requestPatterns = new LRUCache<string, CompiledPattern>({
  maxSize: CACHE_BYTES,
  sizeCalculation: (pattern, text) =>
    2 * text.length +
    (pattern instanceof EvaluationError ? 1024 : PATTERN_BYTES + MATCHER_BYTES + INSTRUCTION_BYTES * pattern.program),
})

/** The compiled form of a pattern that is known only at run time. Long and complex ones are refused. */
export function requestPattern(text: string): CompiledPattern {
  if (text.length > MAX_REQUEST_PATTERN_LENGTH) {
    return TOO_LONG
  }
  // Known or not, so that an evaluation depends on nothing but what it reads.
  if (!spend(COMPILE_STEPS * text.length)) return EXHAUSTED
  const known = requestPatterns.get(text)
  if (known !== undefined) return known
  const compiled = estimateProgram(text) > MAX_REQUEST_PROGRAM ? TOO_COMPLEX : compile(text, 'request')
  const isTooComplex = compiled instanceof Pattern && compiled.program > MAX_REQUEST_PROGRAM
  const pattern = isTooComplex ? TOO_COMPLEX : compiled
  requestPatterns.set(text, pattern)
  return pattern
}

const TOO_LONG = new EvaluationError(`the pattern is longer than ${MAX_REQUEST_PATTERN_LENGTH} characters`, 'exhausted')
const TOO_COMPLEX = new EvaluationError('the pattern is too complex', 'exhausted')

function compile(text: string, origin: keyof typeof STEP_MATCHING): CompiledPattern {
  try {
    return new Pattern(RE2JS.compile(text), origin)
  } catch (error) {
    return new EvaluationError(messageOf(error))
  }
}
