// Collects what one evaluation read, in order and each read once: the shape of the answer.

import { type Predicate, type ReadLog, type ReferencedAttribute, referenceId } from '../kernel/read-log.ts'
import type { AttributeValue } from '../kernel/value.ts'
import { canonicalValue } from './canonical-value.ts'
import {
  ABSENT,
  attributeId,
  attributeStep,
  FALSE,
  keyId,
  keyStep,
  predicateStep,
  type ReadStep,
  scalarAnswer,
  type StepAnswer,
  TRUE,
  wholeAnswer,
  wholeId,
  wholeStep,
} from './read-step.ts'

/** A step and how the bag of the evaluation answered: data, too. */
export interface RecordedStep {
  readonly step: ReadStep
  readonly outcome: StepAnswer['outcome']
  readonly value: string
}

/** A predicate's step and what is recorded of it, made once: rules ask the same predicates of every request. */
interface PredicateRecord {
  readonly step: ReadStep
  readonly whenTrue: RecordedStep
  readonly whenFalse: RecordedStep
}

const PREDICATES = new WeakMap<Predicate, PredicateRecord>()

function predicateRecord(predicate: Predicate): PredicateRecord {
  let record = PREDICATES.get(predicate)
  if (record === undefined) {
    const step = predicateStep(predicate)
    record = { step, whenTrue: { step, ...TRUE }, whenFalse: { step, ...FALSE } }
    PREDICATES.set(predicate, record)
  }
  return record
}

/** Distinct reads whose answers are kept; a longer evaluation costs less than finding out that it need not be made. */
export const MAX_STEPS = 4_096

/**
 * A read log that keeps each distinct read in the order of its first occurrence. Of reads beyond `MAX_STEPS` only the
 * first is kept as a step, so that `steps` is longer than `MAX_STEPS` exactly where it is not the whole evaluation.
 */
export class ReadCollector implements ReadLog {
  readonly #steps = new Map<string, RecordedStep>()
  /** One step for each attribute that was read beyond that. */
  readonly #further = new Map<string, RecordedStep>()
  #latest: ReadStep | undefined

  attribute(name: string, value: AttributeValue | undefined): void {
    if (!this.#steps.has(attributeId(name))) this.#record(attributeStep(name), scalarAnswer(value))
  }

  mapKey(name: string, key: string, value: string | undefined): void {
    if (this.#steps.has(keyId(name, key))) return
    this.#record(
      keyStep(name, key),
      value === undefined ? ABSENT : { outcome: 'present', value: canonicalValue(value) },
    )
  }

  wholeMap(name: string, value: AttributeValue | undefined): void {
    if (!this.#steps.has(wholeId(name))) this.#record(wholeStep(name), wholeAnswer(value))
  }

  predicate(predicate: Predicate, answer: boolean): void {
    const { step, whenTrue, whenFalse } = predicateRecord(predicate)
    if (!this.#steps.has(step.id)) this.#keep(answer ? whenTrue : whenFalse)
  }

  get steps(): readonly RecordedStep[] {
    return [...this.#steps.values()]
  }

  /** The reads as attributes, predicates as reads of their attribute; sorted, each once. */
  referenced(): readonly ReferencedAttribute[] {
    const found = new Map<string, ReferencedAttribute>()
    let latest: RecordedStep | undefined
    for (const recorded of [...this.#steps.values(), ...this.#further.values()]) {
      const { step, outcome } = recorded
      if (outcome === latest?.outcome && isSameAttribute(step, latest.step)) continue
      latest = recorded
      const condition = outcome === 'absent' ? 'ABSENCE' : 'EXACT'
      found.set(referenceId(step), { name: step.name, key: step.key, condition, whole: step.whole })
    }
    return [...found.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry)
  }

  #record(step: ReadStep, answer: StepAnswer): void {
    this.#keep({ step, ...answer })
  }

  #keep(recorded: RecordedStep): void {
    if (this.#steps.size <= MAX_STEPS) this.#steps.set(recorded.step.id, recorded)
    // Thousands of rules mostly ask after the same attribute, one after the other.
    else if (!isSameAttribute(recorded.step, this.#latest)) {
      this.#further.set(referenceId(recorded.step), recorded)
      this.#latest = recorded.step
    }
  }
}

function isSameAttribute(step: ReadStep, other: ReadStep | undefined): boolean {
  return step.name === other?.name && step.key === other.key && step.whole === other.whole
}
