// The questions and shapes of a batch stream on the side that reads them. A node of a later version may tell some that are not
// understood here, as a whole or for a field that could make them say something else: nothing is kept by these.

import type { AnswerShape, AskedQuestion, ReadQuestion } from '../../kernel/answer-shape.ts'
import type { PlainValue, SubjectTest } from '../../kernel/subject-test.ts'
import { exactJson } from '../../kernel/value-json.ts'
import { BYTES, FIXED64, VARINT, type WireReader } from '../wire-reader.ts'
import {
  MAX_ASKED,
  MAX_QUESTIONS,
  MAX_SHAPES,
  MAX_TESTS_WEIGHT,
  OPS,
  ORDER_OPS,
  OUTCOME_BASE,
  OUTCOMES,
  QUESTION_KINDS,
  TEXT_OPS,
  weightOfTest,
} from './shape-codes.ts'

/** How deep tests lie in tests. */
const MAX_DEPTH = 32

export type ToldShape = Omit<AnswerShape, 'epoch'>
/** The text of a word. @throws IntermixError INVALID_REQUEST where there is none */
export type TextOf = (word: number) => string

/** What a node has told of one connection. */
export class ToldShapes {
  readonly #questions: ({ readonly id: string; readonly question: ReadQuestion } | undefined)[] = []
  readonly #shapes: (ToldShape | undefined)[] = []
  #asked = 0
  /** What tests may still weigh. */
  readonly #room = { weight: MAX_TESTS_WEIGHT }

  /** @throws IntermixError INVALID_REQUEST where it is malformed, or one too many */
  addQuestion(reader: WireReader, questionTag: number, textOf: TextOf): void {
    if (this.#questions.length >= MAX_QUESTIONS) throw reader.malformed('too many questions without a reset')
    const outer = reader.openField(questionTag)
    let kind = 0
    let name = ''
    let key: string | undefined
    let test: SubjectTest | undefined
    let isUnderstood = true
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      const field = tag >>> 3
      if (field === 4) {
        test = readTest(reader, tag, textOf, this.#room, MAX_DEPTH)
        isUnderstood &&= test !== undefined
        continue
      }
      if (field > 4) {
        reader.skip(tag)
        isUnderstood = false
        continue
      }
      reader.expect(tag, VARINT)
      if (field === 1) kind = reader.varint32()
      else if (field === 2) name = textOf(reader.sint32())
      else key = textOf(reader.sint32())
    }
    reader.close(outer)
    const known = QUESTION_KINDS[kind]
    if (known === undefined || !isUnderstood) {
      this.#questions.push(undefined)
      return
    }
    const question: ReadQuestion = { kind: known, name, key, test }
    this.#questions.push({ id: exactJson([known, name, key ?? null, test ?? null]), question })
  }

  /** @throws IntermixError INVALID_REQUEST */
  addShape(reader: WireReader, shapeTag: number, textOf: TextOf): void {
    if (this.#shapes.length >= MAX_SHAPES) throw reader.malformed('too many shapes without a reset')
    const outer = reader.openField(shapeTag)
    let config = ''
    let scope = ''
    let handlers: readonly string[] = []
    let generated: readonly string[] = []
    let choosing: readonly AskedQuestion[] | undefined = []
    let reads: readonly AskedQuestion[] | undefined = []
    let isUnderstood = true
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      const field = tag >>> 3
      if (field > 6) {
        reader.skip(tag)
        isUnderstood = false
      } else if (field < 3) {
        reader.expect(tag, VARINT)
        const text = textOf(reader.sint32())
        if (field === 1) config = text
        else scope = text
      } else if (field === 3) handlers = readTexts(reader, tag, textOf)
      else if (field === 4) generated = readTexts(reader, tag, textOf)
      else if (field === 5) choosing = this.#readAsked(reader, tag)
      else reads = this.#readAsked(reader, tag)
    }
    reader.close(outer)
    this.#count(reader, handlers.length + generated.length)
    if (!isUnderstood || choosing === undefined || reads === undefined) this.#shapes.push(undefined)
    else this.#shapes.push({ config, scope, handlers, generated, choosing, reads })
  }

  /** Whether it has been told, understood or not. */
  has(number: number): boolean {
    return number < this.#shapes.length
  }

  /** `undefined` for one that is not understood. */
  shape(number: number): ToldShape | undefined {
    return this.#shapes[number]
  }

  #count(reader: WireReader, more: number): void {
    this.#asked += more
    if (this.#asked > MAX_ASKED) throw reader.malformed('shapes of too many questions and names without a reset')
  }

  /** @returns `undefined` where one of them, or how it was answered, is not understood */
  #readAsked(reader: WireReader, askedTag: number): readonly AskedQuestion[] | undefined {
    const outer = reader.openField(askedTag)
    const asked: AskedQuestion[] = []
    let isUnderstood = true
    while (reader.pos < reader.end) {
      const code = reader.varint32() >>> 0
      const number = Math.floor(code / OUTCOME_BASE)
      if (number >= this.#questions.length) throw reader.malformed(`no question has the number ${number}`)
      this.#count(reader, 1)
      const known = this.#questions[number]
      const outcome = OUTCOMES[code % OUTCOME_BASE]
      if (known === undefined || outcome === undefined) isUnderstood = false
      else asked.push({ ...known, outcome })
    }
    reader.close(outer)
    return isUnderstood ? asked : undefined
  }
}

interface ReadParts {
  op: number
  texts: readonly string[]
  integers: readonly bigint[]
  booleans: readonly boolean[]
  number: number | undefined
  of: SubjectTest[]
  none: boolean
}

/** @returns `undefined` for one that is not understood */
function readTest(
  reader: WireReader,
  testTag: number,
  textOf: TextOf,
  room: { weight: number },
  depth: number,
): SubjectTest | undefined {
  if (depth === 0) throw reader.malformed(`tests in tests more than ${MAX_DEPTH} deep`)
  const outer = reader.openField(testTag)
  const parts: ReadParts = { op: 0, texts: [], integers: [], booleans: [], number: undefined, of: [], none: false }
  let isUnderstood = true
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag >>> 3) {
      case 1:
        reader.expect(tag, VARINT)
        parts.op = reader.varint32()
        break
      case 2:
        parts.texts = readTexts(reader, tag, textOf)
        break
      case 3:
        parts.integers = readAll(reader, tag, () => reader.sint64())
        break
      case 4:
        parts.booleans = readAll(reader, tag, () => reader.varint32() !== 0)
        break
      case 5:
        reader.expect(tag, FIXED64)
        parts.number = reader.double()
        break
      case 6: {
        const inner = readTest(reader, tag, textOf, room, depth - 1)
        if (inner === undefined) isUnderstood = false
        else parts.of.push(inner)
        break
      }
      case 7:
        reader.expect(tag, VARINT)
        parts.none = reader.varint32() !== 0
        break
      default:
        reader.skip(tag)
        isUnderstood = false
    }
  }
  reader.close(outer)
  const { texts, integers, booleans, number } = parts
  room.weight -= weightOfTest([...texts, ...integers, ...booleans, ...(number === undefined ? [] : [number])])
  if (room.weight < 0) throw reader.malformed('tests of too many constants without a reset')
  return isUnderstood ? testOf(parts) : undefined
}

function testOf({ op, texts, integers, booleans, number, of, none }: ReadParts): SubjectTest | undefined {
  const constants: readonly PlainValue[] = [...texts, ...integers, ...booleans]
  const [first] = texts
  const textOp = TEXT_OPS[op - OPS.prefix]
  const orderOp = ORDER_OPS[op - OPS.below]
  if (op === OPS.oneOf) return oneOf(constants)
  if (textOp !== undefined) return first === undefined ? undefined : { op: textOp, text: first }
  if (orderOp !== undefined) {
    const than = number ?? constants[0]
    return than === undefined || typeof than === 'boolean' ? undefined : { op: orderOp, than }
  }
  if (op === OPS.longestPrefix || op === OPS.longestSuffix) {
    const side = op === OPS.longestPrefix ? 'prefix' : 'suffix'
    if (none) return { op: 'longest', side, known: texts, affix: undefined }
    return first === undefined ? undefined : { op: 'longest', side, known: texts.slice(1), affix: first }
  }
  const [only] = of
  if (op === OPS.not) return only === undefined ? undefined : { op: 'not', of: only }
  if (op === OPS.all) return { op: 'all', of }
  return op === OPS.any ? { op: 'any', of } : undefined
}

function oneOf(values: readonly PlainValue[]): SubjectTest {
  const [only] = values
  return only !== undefined && values.length === 1 ? { op: 'equals', value: only } : { op: 'oneOf', values }
}

/** Words of a packed field, whose tag was just read. */
export function readTexts(reader: WireReader, tag: number, textOf: TextOf): readonly string[] {
  return readAll(reader, tag, () => textOf(reader.sint32()))
}

function readAll<T>(reader: WireReader, tag: number, next: () => T): readonly T[] {
  reader.expect(tag, BYTES)
  const outer = reader.open()
  const all: T[] = []
  while (reader.pos < reader.end) all.push(next())
  reader.close(outer)
  return all
}
