// What an answer depended on, told for callers that keep answers by their shape.

import type { Epoch } from '../kernel/revocation.ts'
import type { PathStep } from '../cache/shape-tree.ts'
import { toldSteps } from '../cache/told-steps.ts'
import type { AnswerShape, AskedQuestion } from '../kernel/answer-shape.ts'
import { CompletedBag } from '../kernel/attribute-bag.ts'
import type { PolicyRequest } from './policy-request.ts'

/** A longer evaluation is told to nobody: whoever keeps its answer would ask all of it of each request. */
const MAX_TOLD = 512

/** Of what no revocation is about. */
const NO_EPOCH: Epoch = { generation: '', sequence: 0 }

/**
 * What a grant depended on: the choice of the rule that grants the quota, and its counter. Grants of each quota are told apart from
 * those of others, and from answers.
 * @param reads of choosing and charging
 */
export function grantShapeOf(call: PolicyRequest, name: string, reads: readonly PathStep[]): AnswerShape | undefined {
  const shape = shapeOf(call, reads, NO_EPOCH)
  return shape && { ...shape, scope: `${shape.scope} ${name.toLowerCase()}` }
}

/**
 * What an answer depended on, whoever is charged for it.
 * @param steps of the evaluation that gave the answer, this one or one before
 * @param epoch up to which revocation the answer takes all into account
 * @returns `undefined` where nobody asks, or nobody else may keep the answer
 */
export function shapeOf(call: PolicyRequest, steps: readonly PathStep[], epoch: Epoch): AnswerShape | undefined {
  const { bag, choosing, inputs, plan, state } = call
  if (choosing === undefined || plan.scope === undefined) return undefined
  if (steps.length + choosing.steps.length > MAX_TOLD) return undefined
  // What could not be found out this time may be found out the next time.
  if (bag instanceof CompletedBag && bag.unknowns.size > 0) return undefined
  const isGenerated = bag instanceof CompletedBag ? (name: string) => bag.isGenerated(name) : undefined
  // What generators found hangs on what they read, and both the choice of rules and their evaluation on what they found.
  const found = inputs === undefined ? [] : toldSteps(inputs.steps)
  return {
    config: state.snapshot.id,
    choosing: joined(found, toldSteps(choosing.steps, isGenerated)),
    scope: plan.scope.digest,
    reads: joined(found, toldSteps(steps, isGenerated)),
    handlers: plan.handlers,
    epoch,
    generated: bag instanceof CompletedBag ? bag.generated : [],
  }
}

function joined(first: readonly AskedQuestion[], second: readonly AskedQuestion[]): readonly AskedQuestion[] {
  return first.length === 0 ? second : [...first, ...second]
}
