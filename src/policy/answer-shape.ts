// What an answer depended on, told for callers that keep answers by their shape.

import type { Epoch } from '../kernel/revocation.ts'
import type { PathStep } from '../cache/shape-tree.ts'
import { toldSteps } from '../cache/told-steps.ts'
import type { AnswerShape, AskedQuestion } from '../kernel/answer-shape.ts'
import type { CandidateSet } from '../config/rule-index.ts'
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
  const { bag, choosing, inputs, generators, plan, state } = call
  if (choosing === undefined || plan.scope === undefined) return undefined
  const inputSteps = inputs?.steps ?? []
  if (steps.length + choosing.steps.length + inputSteps.length > MAX_TOLD) return undefined
  // What could not be found out this time may be found out the next time.
  if (bag instanceof CompletedBag && bag.unknowns.size > 0) return undefined
  // Other generators, or what they ask, would find something else: the rules that read it are not the same then.
  const isFound = generators !== undefined && generators.rules.length > 0
  const isGenerated = bag instanceof CompletedBag ? (name: string) => bag.isGenerated(name) : undefined
  // What generators found hangs on what they read, and both the choice of rules and their evaluation on what they found.
  const found = toldSteps(inputSteps)
  return {
    config: state.snapshot.id,
    choosing: joined(found, toldSteps(choosing.steps, isGenerated)),
    scope: isFound ? `${plan.scope.digest} ${generators.digest}` : plan.scope.digest,
    reads: joined(found, toldSteps(steps, isGenerated)),
    handlers: isFound ? together(plan.handlers, handlersOf(generators)) : plan.handlers,
    failsOpen: plan.failsOpen,
    epoch,
    generated: isFound ? boundBy(generators) : [],
  }
}

const boundBySet = new WeakMap<CandidateSet, readonly string[]>()

/**
 * All attributes that the generators may have given. Not those alone that this request lacked: callers that keep answers know
 * them by the rules, which are the same for requests that brought one of them.
 */
function boundBy(generators: CandidateSet): readonly string[] {
  let bound = boundBySet.get(generators)
  if (bound === undefined) {
    const instances = generators.rules.flatMap(({ actions }) => actions.flatMap((action) => action.instances))
    bound = [...new Set(instances.flatMap(({ bindings }) => [...bindings.keys()]))]
    boundBySet.set(generators, bound)
  }
  return bound
}

const handlersBySet = new WeakMap<CandidateSet, readonly string[]>()

/** What a handler found is void when the handler is revoked, as what it said is. */
function handlersOf(generators: CandidateSet): readonly string[] {
  let handlers = handlersBySet.get(generators)
  if (handlers === undefined) {
    handlers = generators.rules.flatMap(({ actions }) => actions.map(({ handler }) => handler.name))
    handlersBySet.set(generators, handlers)
  }
  return handlers
}

function together(some: readonly string[], others: readonly string[]): readonly string[] {
  return [...new Set([...some, ...others])]
}

function joined(first: readonly AskedQuestion[], second: readonly AskedQuestion[]): readonly AskedQuestion[] {
  return first.length === 0 ? second : [...first, ...second]
}
