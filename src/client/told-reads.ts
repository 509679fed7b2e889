// What an answer of a node depended on, as attributes: what Mixer's clients, which keep answers too, are told.

import type { AnswerShape, AskedQuestion } from '../kernel/answer-shape.ts'
import { type ReferencedAttribute, referenceId } from '../kernel/read-log.ts'

/** By the questions: all answers of a shape have the same. */
const known = new WeakMap<readonly AskedQuestion[], readonly ReferencedAttribute[]>()

/** The attributes in order and each once; predicates are reads of what they ask about. */
export function toldReads(asked: readonly AskedQuestion[]): readonly ReferencedAttribute[] {
  let referenced = known.get(asked)
  if (referenced === undefined) {
    referenced = asked.map(({ question: { kind, name, key }, outcome }) => ({
      name,
      key,
      condition: outcome === 'absent' || outcome === 'no-map' ? 'ABSENCE' : 'EXACT',
      whole: kind === 'map',
    }))
    known.set(asked, (referenced = together(referenced, [])))
  }
  return referenced
}

/** What was read to choose the rules, and under them: in order and each once. */
export function together(
  choosing: readonly ReferencedAttribute[],
  reads: readonly ReferencedAttribute[],
): readonly ReferencedAttribute[] {
  const found = new Map<string, ReferencedAttribute>()
  for (const read of choosing) found.set(referenceId(read), read)
  for (const read of reads) found.set(referenceId(read), read)
  return [...found].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, read]) => read)
}

/** All that an answer depended on. */
export function referencedBy({ choosing, reads }: AnswerShape): readonly ReferencedAttribute[] {
  return together(toldReads(choosing), toldReads(reads))
}
