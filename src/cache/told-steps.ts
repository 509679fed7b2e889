// The steps of an evaluation as they are told to callers that keep answers: as questions to the attributes that the
// request itself brought.

import { testPredicate } from '../expression/test-predicate.ts'
import type { AskedQuestion } from '../kernel/answer-shape.ts'
import { attributeId, attributeStep, keyStep, type ReadStep } from './read-step.ts'
import type { PathStep } from './shape-tree.ts'

/** Of a step, for both ways in which a predicate can go. */
interface Told {
  readonly met: AskedQuestion
  readonly other: AskedQuestion
}

/** Of the same steps, what was told of them before. */
const toldBefore = new WeakMap<readonly PathStep[], readonly AskedQuestion[]>()

/** Steps of predicates are made once for a config. */
const told = new WeakMap<ReadStep, Told>()

/**
 * Each question once, in the order of the steps. A predicate that cannot be told becomes a question for the value that it
 * asks about: fewer requests are found alike then, and none wrongly.
 * @param isGenerated whether the node found the attribute by itself: the request brought none
 */
export function toldSteps(
  steps: readonly PathStep[],
  isGenerated?: (attribute: string) => boolean,
): readonly AskedQuestion[] {
  if (isGenerated !== undefined) return tell(steps, isGenerated)
  let questions = toldBefore.get(steps)
  if (questions === undefined) toldBefore.set(steps, (questions = tell(steps)))
  return questions
}

function tell(steps: readonly PathStep[], isGenerated?: (attribute: string) => boolean): readonly AskedQuestion[] {
  const questions = new Map<string, AskedQuestion>()
  for (const step of steps) {
    const question = isGenerated?.(step.step.name) === true ? absence(step.step.name) : questionOf(step)
    questions.set(question.id, question)
  }
  return [...questions.values()]
}

function questionOf({ step, outcome }: PathStep): AskedQuestion {
  if (step.kind !== 'predicate') return { id: step.id, question: plainly(step), outcome }
  let known = told.get(step)
  if (known === undefined) told.set(step, (known = tellPredicate(step)))
  return outcome === 'true' ? known.met : known.other
}

function tellPredicate(step: ReadStep): Told {
  const question = step.travels()
  const { name, key } = step
  if (question?.test === undefined) {
    const exact = key === undefined ? attributeStep(name) : keyStep(name, key)
    const asked: AskedQuestion = { id: exact.id, question: plainly(exact), outcome: 'present' }
    return { met: asked, other: asked }
  }
  const { id } = testPredicate({ attribute: name, mapKey: key }, question.test)
  return { met: { id, question, outcome: 'true' }, other: { id, question, outcome: 'false' } }
}

const plainly = ({ kind, name, key }: ReadStep) => ({ kind, name, key })

function absence(name: string): AskedQuestion {
  return { id: attributeId(name), question: { kind: 'attribute', name }, outcome: 'absent' }
}
