// The questions that nodes tell, as steps that can be asked of requests here.

import { LRUCache } from 'lru-cache'
import type { RecordedStep } from '../cache/read-collector.ts'
import { type ReadStep, stepOf } from '../cache/read-step.ts'
import type { AskedQuestion, ReadQuestion } from '../kernel/answer-shape.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'

/** By their ids: nodes ask the same ones again and again. */
const MAX_BYTES = 8 * 1024 * 1024
/** Without its id. */
const QUESTION_BYTES = 500

export class KnownQuestions {
  readonly #steps = new LRUCache<string, ReadStep>({
    maxSize: MAX_BYTES,
    // Its constants take what they take in the id, and again in what asks it.
    sizeCalculation: (_, id) => QUESTION_BYTES + 4 * id.length,
  })

  /** How the request answers the questions; `undefined` where it does not as the node says. */
  answers(asked: readonly AskedQuestion[], bag: AttributeBag): RecordedStep[] | undefined {
    const steps: RecordedStep[] = []
    for (const { id, question, outcome } of asked) {
      const step = this.#step(id, question)
      const answer = step?.answer(bag)
      if (step === undefined || answer?.outcome !== outcome) return undefined
      steps.push({ step, ...answer })
    }
    return steps
  }

  #step(id: string, question: ReadQuestion): ReadStep | undefined {
    let step = this.#steps.get(id)
    if (step === undefined) {
      step = stepOf(question)
      if (step !== undefined) this.#steps.set(id, step)
    }
    return step
  }
}
