// The questions and shapes of a batch stream on the side that sends them.

import type { AnswerShape, AskedQuestion, ReadQuestion } from '../../kernel/answer-shape.ts'
import type { PlainValue, SubjectTest } from '../../kernel/subject-test.ts'
import { WireWriter } from '../wire-writer.ts'
import type { SentWords } from './sent-words.ts'
import {
  MAX_ASKED,
  MAX_QUESTIONS,
  MAX_SHAPES,
  MAX_TESTS_WEIGHT,
  OPS,
  OUTCOME_BASE,
  OUTCOMES,
  QUESTION_KINDS,
  weightOfTest,
} from './shape-codes.ts'

const QUESTIONS = 6
const SHAPES = 7
/** What a question, a shape and one question of a shape take of memory here, roughly, in bytes. */
const QUESTION_BYTES = 200
const SHAPE_BYTES = 300
const ASKED_BYTES = 12

interface NumberedShape extends Pick<AnswerShape, 'choosing' | 'config' | 'scope'> {
  readonly number: number
}

/** Numbers what one connection is told; each question and each shape is sent once. */
export class SentShapes {
  readonly #words: SentWords
  readonly #writer = new WireWriter()
  readonly #questions = new Map<string, number>()
  readonly #shapes = new Map<string, number>()
  /** What an answer depended on is mostly told by the same list of questions as it was before. */
  #latest = new WeakMap<readonly AskedQuestion[], NumberedShape>()
  #asked = 0
  #testsWeight = 0
  #beginnings = 0

  constructor(words: SentWords) {
    this.#words = words
  }

  /** What the peer has been told takes of memory here, roughly, in bytes. */
  get memory(): number {
    return QUESTION_BYTES * this.#questions.size + SHAPE_BYTES * this.#shapes.size + ASKED_BYTES * this.#asked
  }

  /** The number of a shape; `undefined` where there is no more room until the connection begins anew. */
  number(shape: AnswerShape): number | undefined {
    this.#forget()
    const { choosing, reads, config, scope, generated } = shape
    const latest = this.#latest.get(reads)
    const isLatest = latest?.config === config && latest.scope === scope && isSame(latest.choosing, choosing)
    if (isLatest && generated.length === 0) return latest.number
    const number = this.#numberOf(shape)
    if (number !== undefined && generated.length === 0) this.#latest.set(reads, { choosing, config, scope, number })
    return number
  }

  #numberOf(shape: AnswerShape): number | undefined {
    const choosing = this.#numbered(shape.choosing)
    const reads = this.#numbered(shape.reads)
    if (choosing === undefined || reads === undefined) return undefined
    const { config, scope, handlers, generated } = shape
    const id = `${config} ${scope} ${choosing.join()} ${reads.join()} ${generated.length === 0 ? '' : JSON.stringify(generated)}`
    const known = this.#shapes.get(id)
    if (known !== undefined) return known
    const length = choosing.length + reads.length + handlers.length + generated.length
    if (this.#shapes.size >= MAX_SHAPES || this.#asked + length > MAX_ASKED) return this.#full()
    const writer = this.#writer
    const open = writer.open(SHAPES)
    writer.sint32(1, this.#words.word(config), true)
    writer.sint32(2, this.#words.word(scope), true)
    this.#writeWords(3, handlers)
    this.#writeWords(4, generated)
    writeUints(writer, 5, choosing)
    writeUints(writer, 6, reads)
    writer.close(open)
    const number = this.#shapes.size
    this.#shapes.set(id, number)
    this.#asked += length
    return number
  }

  /** Bytes of what is new since the last time. */
  get size(): number {
    return this.#writer.size
  }

  /** What is new since the last time. */
  take(): Buffer | undefined {
    return this.#writer.size === 0 ? undefined : this.#writer.take()
  }

  /** What was told before the words began anew is not known any more. */
  #forget(): void {
    if (this.#words.beginnings === this.#beginnings) return
    this.#beginnings = this.#words.beginnings
    this.#questions.clear()
    this.#shapes.clear()
    this.#latest = new WeakMap()
    this.#asked = 0
    this.#testsWeight = 0
  }

  #full(): undefined {
    this.#words.beginAnew()
  }

  #numbered(asked: readonly AskedQuestion[]): number[] | undefined {
    const numbers: number[] = []
    for (const { id, question, outcome } of asked) {
      const code = OUTCOMES.indexOf(outcome)
      const number = this.#questions.get(id) ?? this.#add(id, question)
      if (number === undefined || code < 0) return undefined
      numbers.push(number * OUTCOME_BASE + code)
    }
    return numbers
  }

  #add(id: string, { kind, name, key, test }: ReadQuestion): number | undefined {
    const number = this.#questions.size
    const weight = test === undefined ? 0 : weightOf(test)
    if (weight > MAX_TESTS_WEIGHT / 8) return undefined
    if (number >= MAX_QUESTIONS || this.#testsWeight + weight > MAX_TESTS_WEIGHT) return this.#full()
    this.#testsWeight += weight
    const writer = this.#writer
    const open = writer.open(QUESTIONS)
    writer.int32(1, QUESTION_KINDS.indexOf(kind))
    writer.sint32(2, this.#words.word(name), true)
    if (key !== undefined) writer.sint32(3, this.#words.word(key), true)
    if (test !== undefined) this.#writeTest(4, test)
    writer.close(open)
    this.#questions.set(id, number)
    return number
  }

  #writeTest(field: number, test: SubjectTest): void {
    const writer = this.#writer
    const open = writer.open(field)
    switch (test.op) {
      case 'equals':
        this.#writeConstants([test.value])
        break
      case 'oneOf':
        this.#writeConstants(test.values)
        break
      case 'below':
      case 'atMost':
      case 'above':
      case 'atLeast':
        writer.int32(1, OPS[test.op])
        if (typeof test.than === 'number') writer.double(5, test.than)
        else this.#writeConstants([test.than])
        break
      case 'longest': {
        const { side, known, affix } = test
        writer.int32(1, side === 'prefix' ? OPS.longestPrefix : OPS.longestSuffix)
        this.#writeWords(2, affix === undefined ? known : [affix, ...known])
        writer.bool(7, affix === undefined)
        break
      }
      case 'not':
        writer.int32(1, OPS.not)
        this.#writeTest(6, test.of)
        break
      case 'all':
      case 'any':
        writer.int32(1, OPS[test.op])
        for (const each of test.of) this.#writeTest(6, each)
        break
      default:
        writer.int32(1, OPS[test.op])
        this.#writeWords(2, [test.text])
    }
    writer.close(open)
  }

  #writeConstants(values: readonly PlainValue[]): void {
    const writer = this.#writer
    const texts = values.filter((value) => typeof value === 'string')
    const integers = values.filter((value) => typeof value === 'bigint')
    const booleans = values.filter((value) => typeof value === 'boolean')
    this.#writeWords(2, texts)
    if (integers.length > 0) {
      const open = writer.open(3)
      for (const value of integers) writer.packedSint64(value)
      writer.close(open)
    }
    writeUints(writer, 4, booleans.map(Number))
  }

  #writeWords(field: number, texts: readonly string[]): void {
    if (texts.length === 0) return
    const open = this.#writer.open(field)
    for (const text of texts) this.#writer.packedSint32(this.#words.word(text))
    this.#writer.close(open)
  }
}

function isSame(one: readonly AskedQuestion[], other: readonly AskedQuestion[]): boolean {
  if (one === other) return true
  return (
    one.length === other.length &&
    one.every(({ id, outcome }, at) => id === other[at]?.id && outcome === other[at].outcome)
  )
}

function writeUints(writer: WireWriter, field: number, values: readonly number[]): void {
  if (values.length === 0) return
  const open = writer.open(field)
  for (const value of values) writer.packedUint(value)
  writer.close(open)
}

function weightOf(test: SubjectTest): number {
  switch (test.op) {
    case 'equals':
      return weightOfTest([test.value])
    case 'oneOf':
      return weightOfTest(test.values)
    case 'below':
    case 'atMost':
    case 'above':
    case 'atLeast':
      return weightOfTest([test.than])
    case 'longest':
      return weightOfTest(test.affix === undefined ? test.known : [test.affix, ...test.known])
    case 'not':
      return weightOfTest([]) + weightOf(test.of)
    case 'all':
    case 'any':
      return test.of.reduce((sum, each) => sum + weightOf(each), weightOfTest([]))
    default:
      return weightOfTest([test.text])
  }
}
