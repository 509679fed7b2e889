// What an answer depended on, told for callers that keep answers by their shape.

import type { Epoch } from '../cache/revocations.ts'
import type { PathStep } from '../cache/shape-tree.ts'
import { toldSteps } from '../cache/told-steps.ts'
import type { AnswerShape } from '../kernel/answer-shape.ts'
import { CompletedBag } from '../kernel/attribute-bag.ts'
import type { PolicyRequest } from './policy-request.ts'

/** A longer evaluation is told to nobody: whoever keeps its answer would ask all of it of each request. */
const MAX_TOLD = 512

/**
 * @param steps of the evaluation that gave the answer, this one or one before
 * @param epoch up to which revocation the answer takes all into account
 * @returns `undefined` where nobody asks, or nobody else may keep the answer
 */
export function shapeOf(call: PolicyRequest, steps: readonly PathStep[], epoch: Epoch): AnswerShape | undefined {
  const { bag, choosing, inputs, plan, state } = call
  // What these rules charge for a request is theirs to find out each time.
  if (choosing === undefined || plan.scope === undefined || plan.charging.length > 0) return undefined
  if (steps.length + choosing.steps.length > MAX_TOLD) return undefined
  // What could not be found out this time may be found out the next time.
  if (bag instanceof CompletedBag && bag.unknowns.size > 0) return undefined
  const isGenerated = bag instanceof CompletedBag ? (name: string) => bag.isGenerated(name) : undefined
  const chosen = toldSteps(choosing.steps, isGenerated)
  return {
    config: state.snapshot.id,
    choosing: inputs === undefined ? chosen : [...toldSteps(inputs.steps), ...chosen],
    scope: plan.scope.digest,
    reads: toldSteps(steps, isGenerated),
    handlers: plan.handlers,
    epoch,
    generated: bag instanceof CompletedBag ? bag.generated : [],
  }
}
