// Reads questions and shapes, which last as words do.

import { Bytes, EMPTY } from '../bytes/bytes'
import { Asks, Outcome, Question } from '../shape/question'
import { Op, Test } from '../shape/test'
import { Reader, WireType } from '../wire/reader'
import { Settable } from './settable'
import { Shape } from './told'
import { Words } from './words'

const MAX_QUESTIONS = 4_096
const MAX_SHAPES = 4_096
const MAX_ASKED = 262_144
/** How deep tests lie in tests. */
const MAX_DEPTH = 32
/** What all tests of a stream may take of memory, in bytes, about; and what one takes, and a constant. Beyond, a question is not known. */
const MAX_TEST_BYTES = 4 * 1024 * 1024
const TEST_BYTES = 400
const CONSTANT_BYTES = 16
/** Behind the number of a question. */
const OUTCOME_BASE = 8

export class ShapeReader {
  private questions: Array<Question | null> = []
  /** `null` for one that says what is not known here: nothing is kept by it. */
  private shapes: Array<Shape | null> = []
  /** Questions and names of all shapes. */
  private asked: i32 = 0
  private testBytes: i32 = 0

  /** @param settable knows which attributes the operator has set, and gives one question for all that ask the same */
  constructor(
    private readonly words: Words,
    private readonly settable: Settable,
  ) {}

  reset(): void {
    this.questions = []
    this.shapes = []
    this.asked = 0
    this.testBytes = 0
  }

  has(number: u32): bool {
    return number < <u32>this.shapes.length
  }

  shape(number: u32): Shape | null {
    return this.shapes[number]
  }

  readQuestion(reader: Reader): void {
    if (this.questions.length >= MAX_QUESTIONS) {
      reader.fail()
      return
    }
    const outer = reader.enter()
    let kind: u32 = 0
    let name: Bytes = EMPTY
    let key: Bytes = EMPTY
    let hasKey = false
    let test: Test | null = null
    let isKnown = true
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      const field = tag >> 3
      if (field === 4) {
        if (!reader.expect(tag, WireType.BYTES)) break
        test = this.readTest(reader, MAX_DEPTH)
      } else if (field > 4) {
        isKnown = false
        reader.skip(tag)
      } else {
        if (!reader.expect(tag, WireType.VARINT)) break
        if (field === 1) kind = reader.uint()
        else if (field === 2) name = this.words.name(reader.sint())
        else {
          key = this.words.name(reader.sint())
          hasKey = true
        }
      }
    }
    reader.close(outer)
    if ((kind === <u32>Asks.PREDICATE && test === null) || (kind === <u32>Asks.KEY && !hasKey)) reader.fail()
    if (reader.isBroken) return
    // What a later version asks is not known here: nothing that hangs on it is kept.
    if (!isKnown || kind > <u32>Asks.PREDICATE || (test !== null && test.isUnknown)) this.questions.push(null)
    else this.questions.push(this.settable.question(kind, name, hasKey ? key : null, test))
  }

  readShape(reader: Reader): void {
    if (this.shapes.length >= MAX_SHAPES) {
      reader.fail()
      return
    }
    const shape = new Shape()
    let isKnown = true
    const outer = reader.enter()
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      const field = tag >> 3
      if (field < 3) {
        if (!reader.expect(tag, WireType.VARINT)) break
        const word = this.words.name(reader.sint())
        if (field === 1) shape.config = word
        else shape.scope = word
      } else if (field < 7) {
        if (!reader.expect(tag, WireType.BYTES)) break
        if (field === 3) this.readNames(reader, shape.handlers)
        else if (field === 4) this.readNames(reader, shape.generated)
        else if (field === 5) isKnown = this.readAsked(reader, shape.choosing, shape.choosingOutcomes) && isKnown
        else isKnown = this.readAsked(reader, shape.reads, shape.readOutcomes) && isKnown
      } else {
        isKnown = false
        reader.skip(tag)
      }
    }
    reader.close(outer)
    if (!reader.isBroken) this.shapes.push(isKnown ? shape : null)
  }

  /** @returns whether all of it is known here */
  private readAsked(reader: Reader, questions: Array<Question>, outcomes: Array<i32>): bool {
    let isKnown = true
    const outer = reader.enter()
    while (reader.pos < reader.end) {
      const code = reader.uint()
      const number = <i32>(code / OUTCOME_BASE)
      const outcome = <i32>(code % OUTCOME_BASE)
      if (number >= this.questions.length || ++this.asked > MAX_ASKED) {
        reader.fail()
        break
      }
      const question = this.questions[number]
      if (question === null || outcome >= Outcome.COUNT) {
        isKnown = false
        continue
      }
      questions.push(question)
      outcomes.push(outcome)
    }
    reader.close(outer)
    return isKnown
  }

  private readNames(reader: Reader, into: Array<Bytes>): void {
    const outer = reader.enter()
    while (reader.pos < reader.end) {
      if (++this.asked > MAX_ASKED) reader.fail()
      else into.push(this.words.name(reader.sint()))
    }
    reader.close(outer)
  }

  /** @returns whether there is room for so much more of tests */
  private hasRoom(bytes: i32): bool {
    this.testBytes += bytes
    return this.testBytes <= MAX_TEST_BYTES
  }

  private readTest(reader: Reader, depth: i32): Test {
    const test = new Test()
    if (depth === 0) {
      reader.fail()
      return test
    }
    const outer = reader.enter()
    if (!this.hasRoom(TEST_BYTES)) test.isUnknown = true
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      const field = tag >> 3
      const type = field === 1 || field === 7 ? WireType.VARINT : field === 5 ? WireType.FIXED64 : WireType.BYTES
      if (field > 7) {
        test.isUnknown = true
        reader.skip(tag)
        continue
      }
      if (!reader.expect(tag, type)) break
      switch (field) {
        case 1:
          test.op = reader.uint()
          break
        case 2:
        case 3:
        case 4: {
          const inner = reader.enter()
          while (reader.pos < reader.end) {
            if (!this.readConstant(reader, field, test)) test.isUnknown = true
          }
          reader.close(inner)
          break
        }
        case 5:
          test.number = reader.double()
          test.hasNumber = true
          break
        case 6: {
          if (test.isUnknown) {
            reader.pos = reader.bytes()
            break
          }
          const part = this.readTest(reader, depth - 1)
          if (part.isUnknown) test.isUnknown = true
          test.parts.push(part)
          break
        }
        default:
          test.none = reader.uint() !== 0
      }
    }
    reader.close(outer)
    if (test.op < 0 || test.op > Op.ANY) test.isUnknown = true
    return test
  }

  /** @returns whether there was room for it */
  private readConstant(reader: Reader, field: u32, test: Test): bool {
    if (field === 2) {
      const text = this.words.word(reader.sint())
      if (!this.hasRoom(CONSTANT_BYTES + text.length)) return false
      test.texts.push(text)
      return true
    }
    const integer = field === 3 ? reader.sint64() : <i64>(reader.uint() !== 0)
    if (!this.hasRoom(CONSTANT_BYTES)) return false
    if (field === 3) test.integers.push(integer)
    else test.booleans.push(integer !== 0)
    return true
  }
}
