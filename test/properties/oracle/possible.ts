// Everything that may become of a request: generators and handlers may say what they said at some moment since the oldest
// part of the answer was made, and they may fail where they were down. A search, since the product's answer rules out most.

import { generatedBy, type SimulatedVerdict, verdictAt } from '../verdicts.ts'
import { conclude, enforcedFor, type Evaluated, evaluateRules, objection, type Told } from './answer.ts'
import { complete, type Completed } from './generation.ts'
import type { ConfigModel, RuleModel } from './model.ts'
import type { Readable } from './values.ts'

/** A request as rules may see it, and what they ask then. */
export interface Possibility {
  readonly bag: Completed
  readonly rules: readonly RuleModel[]
  readonly evaluated: Evaluated
}

/** One for each way in which generators may fail, none failing first. */
export function possibilities(config: ConfigModel, own: Readable, mayFail: boolean): readonly Possibility[] {
  let calls = 0
  const without = (failing: number): Possibility => {
    calls = 0
    const bag = complete(config, own, ({ adapter, salt }, inputs) => {
      const fails = adapter === 'remote' && ((failing >> calls++) & 1) === 1
      return fails ? undefined : generatedBy(salt, inputs)
    })
    const rules = enforcedFor(config, bag)
    return { bag, rules, evaluated: evaluateRules(config, rules, bag) }
  }
  const found = [without(0)]
  const ways = mayFail ? 1 << calls : 1
  for (let failing = 1; failing < ways; failing++) found.push(without(failing))
  return found
}

/** What the handlers said, by question; `undefined` where the call failed. */
export type Verdicts = readonly (SimulatedVerdict | undefined)[]

/**
 * Looks for verdicts that make what was told; `allowed`: any that let the request pass.
 * @param choices the versions of the world, and whether remote calls may fail
 * @param suits a further condition, of which the first reason against is remembered
 */
export function findVerdicts(
  { bag, evaluated }: Possibility,
  told: Told | 'allowed',
  choices: { readonly versions: readonly number[]; readonly mayFail: boolean },
  suits: (verdicts: Verdicts) => boolean,
): Verdicts | undefined {
  const { steps, questions } = evaluated
  const wanted = JSON.stringify(told)
  const isTold = (found: Told) => (told === 'allowed' ? found.code === 0 : JSON.stringify(found) === wanted)
  const verdicts: (SimulatedVerdict | undefined)[] = []
  const search = (at: number, objections: number): boolean => {
    const step = steps[at]
    if (step === undefined) {
      return isTold(conclude(evaluated, verdicts, bag)) && suits(verdicts)
    }
    const goesOn = () => {
      const given = objection(step, step.question === undefined ? undefined : verdicts[step.question])
      if (given === undefined) return search(at + 1, objections)
      return told !== 'allowed' && told.objections[objections] === given.text && search(at + 1, objections + 1)
    }
    const { question } = step
    // Questions are numbered in the order of the steps that ask them first.
    if (question === undefined || question < verdicts.length) return goesOn()
    const { handler, instance, value } = questions[question] as (typeof questions)[0]
    const possible: (SimulatedVerdict | undefined)[] = choices.versions.map((version) =>
      verdictAt(handler.salt, instance, value, version),
    )
    if (choices.mayFail && handler.adapter === 'remote') possible.push(undefined)
    for (const verdict of possible) {
      verdicts[question] = verdict
      if (goesOn()) return true
      verdicts.length = question
    }
    return false
  }
  return search(0, 0) ? [...verdicts] : undefined
}
