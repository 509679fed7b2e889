// What an answer says that it depended on: a caller keeps the answer, and gives it to every request that agrees with it in
// just that. So such a request must be answered the same.

import type { AttributeBag } from '../../src/kernel/attribute-bag.ts'
import type { ReferencedAttribute } from '../../src/kernel/read-log.ts'
import { conclude, type Told } from './oracle/answer.ts'
import type { ConfigModel } from './oracle/model.ts'
import { possibilities, type Possibility, type Verdicts } from './oracle/possible.ts'
import { describe } from './oracle/values.ts'
import { verdictAt } from './verdicts.ts'

/** Says which references contradict their own request; `undefined` where none does. */
export function contradiction(bag: AttributeBag, references: readonly ReferencedAttribute[]): string | undefined {
  const seen = new Set<string>()
  for (const { name, key, condition, whole } of references) {
    const id = JSON.stringify([name, key, whole])
    if (seen.has(id)) return `${id} is referenced twice`
    seen.add(id)
    const value = bag.get(name)
    const found = key === undefined ? value : value instanceof Map ? (value.get(key) as string | undefined) : undefined
    if ((condition === 'EXACT') !== (found !== undefined)) return `${id} is ${condition}, and it is ${describe(found)}`
  }
  return undefined
}

/** What the oracle tells another request, if the handlers say what they said to the first one. */
export function toldLikewise(
  config: ConfigModel,
  other: AttributeBag,
  first: { readonly possibility: Possibility; readonly verdicts: Verdicts },
  version: number,
): Told {
  const [possibility] = possibilities(config, other, false) as readonly [Possibility]
  const { questions } = first.possibility.evaluated
  const idOf = ({ handler, instance, value }: (typeof questions)[0]) => `${handler.name} ${instance} ${describe(value)}`
  const known = new Map(questions.map((question, i) => [idOf(question), first.verdicts[i]]))
  const verdicts = possibility.evaluated.questions.map(
    (question) =>
      known.get(idOf(question)) ?? verdictAt(question.handler.salt, question.instance, question.value, version),
  )
  return conclude(possibility.evaluated, verdicts, possibility.bag)
}
