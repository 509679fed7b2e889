// What an answer of a node depended on, as attributes: what Mixer's clients, which keep answers too, are told.

import type { AnswerShape, AskedQuestion } from '../kernel/answer-shape.ts'
import { type ReferencedAttribute, referenceId } from '../kernel/read-log.ts'

/** By the questions of the rules: all answers of a shape have the same. */
const known = new WeakMap<readonly AskedQuestion[], readonly ReferencedAttribute[]>()

/** The attributes in order and each once; predicates are reads of what they ask about. */
export function toldReads({ choosing, reads }: AnswerShape): readonly ReferencedAttribute[] {
  let referenced = known.get(reads)
  if (referenced === undefined) known.set(reads, (referenced = referencedBy([...choosing, ...reads])))
  return referenced
}

function referencedBy(asked: readonly AskedQuestion[]): readonly ReferencedAttribute[] {
  const found = new Map<string, ReferencedAttribute>()
  for (const { question, outcome } of asked) {
    const { kind, name, key } = question
    const condition = outcome === 'absent' ? 'ABSENCE' : 'EXACT'
    const read = { name, key, condition, whole: kind === 'map' } as const
    found.set(referenceId(read), read)
  }
  return [...found].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, read]) => read)
}
