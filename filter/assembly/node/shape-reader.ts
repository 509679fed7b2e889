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
/** Behind the number of a question. */
const OUTCOME_BASE = 8

export class ShapeReader {
  private questions: Array<Question | null> = []
  /** `null` for one that says what is not known here: nothing is kept by it. */
  private shapes: Array<Shape | null> = []
  private asked: i32 = 0

  /** @param settable knows which attributes the operator has set, and gives one question for all that ask the same */
  constructor(
    private readonly words: Words,
    private readonly settable: Settable,
  ) {}

  reset(): void {
    this.questions = []
    this.shapes = []
    this.asked = 0
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
    let kind = 0
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
        else if (field === 2) name = this.words.word(reader.sint())
        else {
          key = this.words.word(reader.sint())
          hasKey = true
        }
      }
    }
    reader.close(outer)
    if ((kind === Asks.PREDICATE && test === null) || (kind === Asks.KEY && !hasKey)) reader.fail()
    if (reader.isBroken) return
    // What a later version asks is not known here: nothing that hangs on it is kept.
    if (!isKnown || kind > Asks.PREDICATE || (test !== null && test.isUnknown)) this.questions.push(null)
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
        const word = this.words.word(reader.sint())
        if (field === 1) shape.config = word
        else shape.scope = word
      } else if (field < 7) {
        if (!reader.expect(tag, WireType.BYTES)) break
        if (field === 3) this.readWords(reader, shape.handlers)
        else if (field === 4) this.readWords(reader, shape.generated)
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

  private readWords(reader: Reader, into: Array<Bytes>): void {
    const outer = reader.enter()
    while (reader.pos < reader.end) into.push(this.words.word(reader.sint()))
    reader.close(outer)
  }

  private readTest(reader: Reader, depth: i32): Test {
    const test = new Test()
    if (depth === 0) {
      reader.fail()
      return test
    }
    const outer = reader.enter()
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
          this.readWords(reader, test.texts)
          break
        case 3: {
          const inner = reader.enter()
          while (reader.pos < reader.end) test.integers.push(reader.sint64())
          reader.close(inner)
          break
        }
        case 4: {
          const inner = reader.enter()
          while (reader.pos < reader.end) test.booleans.push(reader.uint() !== 0)
          reader.close(inner)
          break
        }
        case 5:
          test.number = reader.double()
          test.hasNumber = true
          break
        case 6: {
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
    if (test.op > Op.ANY) test.isUnknown = true
    return test
  }
}
