// Numbers that stand for parts of shapes in intermix.v1: questions, how they are answered, and what tests do.

import type { ReadKind, ReadOutcome } from '../../kernel/answer-shape.ts'
import type { Order, SubjectTest } from '../../kernel/subject-test.ts'

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
/** Questions of all shapes together. */
export const MAX_ASKED = 262_144
