// Collects what one evaluation read, in order and each read once: the shape of the answer.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { type Predicate, type ReadLog, type ReferencedAttribute, referenceId } from '../kernel/read-log.ts'
import { type AttributeValue, isAmbiguous, isStringMap } from '../kernel/value.ts'
import { canonicalValue } from './canonical-value.ts'

/**
 * One question that an evaluation asks a bag. `outcome` says how the bag answers, as far as the next question can
 * depend on it without the value; `value` is what must enter the key (empty where the outcome says it all). A map
 * that is not there at all (`no-map`) is told apart from a map that lacks the key: expressions can tell them apart too.
 * What is `unknown`, or ambiguous, is no answer: no evaluation that met it is kept, so such a bag finds none.
 */
export interface ReadStep {
  readonly id: string
  readonly name: string
  readonly key: string | undefined
  readonly whole: boolean
  answer(bag: AttributeBag): StepAnswer
}

export interface StepAnswer {
  readonly outcome: 'absent' | 'no-map' | 'unknown' | 'present' | 'true' | 'false'
  readonly value: string
}

export interface RecordedStep {
  readonly step: ReadStep
  readonly outcome: StepAnswer['outcome']
  readonly value: string
}

const ABSENT: StepAnswer = { outcome: 'absent', value: '' }
const UNKNOWN: StepAnswer = { outcome: 'unknown', value: '' }
const NO_MAP: StepAnswer = { outcome: 'no-map', value: '' }
const PRESENT: StepAnswer = { outcome: 'present', value: '' }
const TRUE: StepAnswer = { outcome: 'true', value: '' }
const FALSE: StepAnswer = { outcome: 'false', value: '' }

function scalarAnswer(value: AttributeValue | undefined): StepAnswer {
  if (value === undefined) return ABSENT
  if (typeof value === 'object' && isStringMap(value)) return PRESENT
  return { outcome: 'present', value: canonicalValue(value) }
}

function keyAnswer(map: AttributeValue | undefined, key: string): StepAnswer {
  if (map === undefined || typeof map !== 'object' || !isStringMap(map)) return NO_MAP
  if (isAmbiguous(map, key)) return UNKNOWN
  const value = map.get(key)
  return value === undefined ? ABSENT : { outcome: 'present', value: canonicalValue(value) }
}

function wholeAnswer(map: AttributeValue | undefined): StepAnswer {
  if (map === undefined) return ABSENT
  return isAmbiguous(map, undefined) ? UNKNOWN : { outcome: 'present', value: canonicalValue(map) }
}

/** Asks a bag for the value, where that can be told. */
function ask(bag: AttributeBag, name: string, answer: (value: AttributeValue | undefined) => StepAnswer): StepAnswer {
  const value = bag.get(name)
  return value === undefined && bag.unknown?.(name) !== undefined ? UNKNOWN : answer(value)
}

function attributeStep(name: string): ReadStep {
  return { id: `a${name}`, name, key: undefined, whole: false, answer: (bag) => ask(bag, name, scalarAnswer) }
}

function keyStep(name: string, key: string): ReadStep {
  return {
    id: `k${name.length}:${name}${key}`,
    name,
    key,
    whole: false,
    answer: (bag) => ask(bag, name, (value) => keyAnswer(value, key)),
  }
}

function wholeStep(name: string): ReadStep {
  return { id: `w${name}`, name, key: undefined, whole: true, answer: (bag) => ask(bag, name, wholeAnswer) }
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
    const step: ReadStep = {
      id: `p${predicate.id}`,
      name: predicate.attribute,
      key: predicate.mapKey,
      whole: false,
      answer(bag) {
        const answer = predicate.test(bag)
        return answer === undefined ? ABSENT : answer ? TRUE : FALSE
      },
    }
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
    if (!this.#steps.has(`a${name}`)) this.#record(attributeStep(name), scalarAnswer(value))
  }

  mapKey(name: string, key: string, value: string | undefined): void {
    if (this.#steps.has(`k${name.length}:${name}${key}`)) return
    this.#record(
      keyStep(name, key),
      value === undefined ? ABSENT : { outcome: 'present', value: canonicalValue(value) },
    )
  }

  wholeMap(name: string, value: AttributeValue | undefined): void {
    if (!this.#steps.has(`w${name}`)) this.#record(wholeStep(name), wholeAnswer(value))
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
