// Numbers that stand for parts of shapes in intermix.v1: questions, how they are answered, and what tests do.

import type { ReadKind, ReadOutcome } from '../../kernel/answer-shape.ts'
import type { Order, PlainValue, SubjectTest } from '../../kernel/subject-test.ts'

export const QUESTION_KINDS: readonly ReadKind[] = ['attribute', 'key', 'map', 'predicate']

/** Behind the number of a question. What is unknown is never told. */
export const OUTCOMES: readonly ReadOutcome[] = ['absent', 'no-map', 'present', 'true', 'false']
export const OUTCOME_BASE = 8

/** `Test.Op`. */
export const OPS = {
  oneOf: 0,
  prefix: 1,
  suffix: 2,
  contains: 3,
  matches: 4,
  below: 5,
  atMost: 6,
  above: 7,
  atLeast: 8,
  longestPrefix: 9,
  longestSuffix: 10,
  not: 11,
  all: 12,
  any: 13,
} as const

export const TEXT_OPS: readonly Extract<SubjectTest, { text: string }>['op'][] = [
  'prefix',
  'suffix',
  'contains',
  'matches',
]
export const ORDER_OPS: readonly Order[] = ['below', 'atMost', 'above', 'atLeast']

/** Bounds of one connection; a side that needs more begins anew. */
export const MAX_QUESTIONS = 4_096
export const MAX_SHAPES = 4_096
/** Questions, handlers and generated attributes of all shapes together. */
export const MAX_ASKED = 262_144
/** What the constants of all tests weigh together; one test that weighs more than an eighth of it is not told. */
export const MAX_TESTS_WEIGHT = 4 * 1024 * 1024
const CONSTANT_WEIGHT = 16
const TEST_WEIGHT = 32

/** What a constant of a test weighs. */
function weightOfConstant(value: PlainValue | number): number {
  return typeof value === 'string' ? CONSTANT_WEIGHT + value.length : CONSTANT_WEIGHT
}

/** What a test weighs; of one in which others lie, without these. */
export function weightOfTest(constants: Iterable<PlainValue | number>): number {
  let weight = TEST_WEIGHT
  for (const value of constants) weight += weightOfConstant(value)
  return weight
}
