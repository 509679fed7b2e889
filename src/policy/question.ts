// What an evaluation asked of a bag, so that other bags can be asked the same.

import { canonicalValue } from '../cache/canonical-value.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { Predicate, ReadLog } from '../kernel/read-log.ts'
import { type AttributeValue, isAmbiguous, isStringMap } from '../kernel/value.ts'

/** Equal answers (`===`) mean equal values of one type. */
export type Answer = string | bigint | boolean | symbol

const ABSENT = Symbol('absent')
/** A map is there; what it holds is asked by other questions. */
const PRESENT = Symbol('present')
/** What was read is unknown or ambiguous: such an evaluation says nothing of others. */
const UNKNOWN = Symbol('unknown')

/** One question; the same for all bags. */
export class Question {
  /** The attribute that it is about. */
  readonly name: string
  readonly #kind: 'attribute' | 'key' | 'map' | 'predicate'
  readonly #key: string
  readonly #predicate: Predicate | undefined

  constructor(kind: 'attribute' | 'key' | 'map' | 'predicate', name: string, key = '', predicate?: Predicate) {
    this.name = name
    this.#kind = kind
    this.#key = key
    this.#predicate = predicate
  }

  ask(bag: AttributeBag): Answer {
    if (this.#predicate !== undefined) return this.#predicate.test(bag) ?? UNKNOWN
    const value = bag.get(this.name)
    if (value === undefined) return bag.unknown?.(this.name) === undefined ? ABSENT : UNKNOWN
    if (this.#kind === 'attribute') return answerOf(value)
    if (typeof value !== 'object' || !isStringMap(value)) return UNKNOWN
    if (this.#kind === 'map') return isAmbiguous(value, undefined) ? UNKNOWN : `\0${canonicalValue(value)}`
    if (isAmbiguous(value, this.#key)) return UNKNOWN
    const entry = value.get(this.#key)
    return entry === undefined ? ABSENT : textAnswer(entry)
  }
}

function answerOf(value: AttributeValue): Answer {
  if (typeof value === 'string') return textAnswer(value)
  if (typeof value === 'bigint' || typeof value === 'boolean') return value
  return typeof value === 'object' && isStringMap(value) ? PRESENT : `\0${canonicalValue(value)}`
}

/** Text that begins with the mark of other types is told apart from them. */
function textAnswer(text: string): string {
  return text.charCodeAt(0) === 0 ? `\0s${text}` : text
}

/** All questions of one kind of evaluation, each once. */
export class Questions {
  readonly #byId = new Map<string, Question>()
  readonly #ofPredicates = new Map<Predicate, Question>()

  get size(): number {
    return this.#byId.size
  }

  attribute(name: string): Question {
    return this.#byId.get(name) ?? this.#keep(name, new Question('attribute', name))
  }

  key(name: string, key: string): Question {
    const id = `k${name}\0${key}`
    return this.#byId.get(id) ?? this.#keep(id, new Question('key', name, key))
  }

  map(name: string): Question {
    const id = `m${name}\0`
    return this.#byId.get(id) ?? this.#keep(id, new Question('map', name))
  }

  predicate(predicate: Predicate): Question {
    let question = this.#ofPredicates.get(predicate)
    if (question === undefined) {
      question = new Question('predicate', predicate.attribute, predicate.mapKey, predicate)
      this.#ofPredicates.set(predicate, question)
    }
    return question
  }

  #keep(id: string, question: Question): Question {
    this.#byId.set(id, question)
    return question
  }
}

/** Hears what one evaluation of a bag reads, and keeps each question once, in order, with the answer. */
export class QuestionLog implements ReadLog {
  readonly answers = new Map<Question, Answer>()
  /** Whether the reads say all that the evaluation hung on. */
  isComplete = true
  readonly #bag: AttributeBag
  readonly #questions: Questions

  constructor(bag: AttributeBag, questions: Questions) {
    this.#bag = bag
    this.#questions = questions
  }

  attribute(name: string): void {
    this.#ask(this.#questions.attribute(name))
  }

  /** That the map is there is a question of its own, the same as where it is not. */
  mapKey(name: string, key: string): void {
    this.attribute(name)
    this.#ask(this.#questions.key(name, key))
  }

  wholeMap(name: string): void {
    this.attribute(name)
    if (this.#bag.get(name) !== undefined) this.#ask(this.#questions.map(name))
  }

  predicate(predicate: Predicate, answer: boolean): void {
    const question = this.#questions.predicate(predicate)
    if (!this.answers.has(question)) this.answers.set(question, answer)
  }

  #ask(question: Question): void {
    if (this.answers.has(question)) return
    const answer = question.ask(this.#bag)
    if (answer === UNKNOWN) this.isComplete = false
    this.answers.set(question, answer)
  }
}
