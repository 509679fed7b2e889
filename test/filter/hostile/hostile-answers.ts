// Messages of a node that means no good: well-formed mostly, and full of what no node would say.

import { WireWriter } from '../../../src/wire/wire-writer.ts'
import type { Picker } from '../../properties/random.ts'

/** Words that every message has: those of answers, of questions, and those that a header cannot hold. */
const WORDS = [
  '',
  'a',
  'b',
  'x-a',
  'request.path',
  'request.host',
  'request.method',
  'request.headers',
  'request.query_params',
  'request.size',
  'source.ip',
  'source.port',
  'connection.mtls',
  'context.time',
  'x.unknown',
  '/',
  '/0',
  '/1',
  'GET',
  'host',
  'cookie',
  'content-length',
  'retry-after',
  'transfer-encoding',
  ':path',
  ':status',
  ':authority',
  ':method',
  'x\r\ny: z',
  'X-Upper',
  'x y',
  'x\0',
  'é',
  ' a\r\nb\0 ',
  '(a+)+$',
  '[',
  'x'.repeat(300),
  'x'.repeat(9_000),
  'g1',
  'g2',
] as const
const NUMBERS = [0, 1, 2, 3, 7, 16, 60_000, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1] as const
/** Most of these are none where a count is read. */
const WILD_NUMBERS = [...NUMBERS, 2 ** 53, -1, 2n ** 63n, 2n ** 64n - 1n] as const
/** Rarely: more than there is room for. */
const MANY = 0.012
const MAX_PARTS = 300_000

export class HostileAnswers {
  readonly #pick: Picker
  readonly #writer = new WireWriter()
  /** What a message may have further: in all, and of what is there by the thousand. */
  #parts = 0
  #many = 0
  /** Whether it refers to what is not there. */
  #isWild = false
  /** Questions since words were forgotten. */
  #questions = 0
  #shapes = 0

  constructor(pick: Picker) {
    this.#pick = pick
  }

  /** @param ids of checks that wait */
  next(ids: readonly number[]): Buffer {
    const pick = this.#pick
    const writer = this.#writer
    this.#isWild = pick.chance(0.2)
    this.#parts = MAX_PARTS
    this.#many = 2
    writer.bool(1, true)
    this.#questions = 0
    for (const word of WORDS) writer.text(3, word, true)
    if (pick.chance(MANY)) writer.bytes(3, Buffer.alloc(pick.of([1, 3]) * 1_000_000, 'w'))
    for (let i = this.#count(2, 70_000); i > 0; i--) writer.text(pick.of([2, 3]), pick.of(WORDS), true)
    for (let i = this.#count(4, 5_000); i > 0; i--, this.#questions++) this.#question()
    this.#shapes = this.#count(4, 5_000)
    for (let i = this.#shapes; i > 0; i--) this.#shape()
    for (let i = this.#count(6, 1_000); i > 0; i--) this.#answer(ids)
    for (let i = this.#count(2, 2_000); i > 0; i--) this.#news()
    if (pick.chance(0.05)) writer.bool(5, true)
    if (pick.chance(0.1)) this.#unknown(10)
    return writer.take()
  }

  #count(few: number, many: number): number {
    const count = this.#pick.chance(MANY) && this.#many-- > 0 ? this.#pick.int(many) : this.#pick.int(few + 1)
    this.#parts -= count
    return this.#parts < 0 ? 0 : count
  }

  /** The number of a word, sometimes of none. */
  #word(): number {
    if (this.#isWild && this.#pick.chance(0.05)) return this.#pick.of([-100_000, 100_000, 2 ** 31 - 1])
    return -1 - this.#pick.int(WORDS.length)
  }

  /** Mostly one that a header can have. */
  #name(): number {
    return this.#pick.chance(0.9)
      ? -1 - WORDS.indexOf(this.#pick.of(['x-a', 'b', 'cookie', ':path', 'host']))
      : this.#word()
  }

  #number(field: number): void {
    this.#writer.int64(field, this.#isWild ? this.#pick.of([...WILD_NUMBERS]) : this.#pick.of([...NUMBERS]))
  }

  #unknown(from: number): void {
    const field = from + this.#pick.int(20)
    if (this.#pick.chance(0.5)) this.#number(field)
    else this.#writer.bytes(field, Buffer.alloc(this.#pick.int(20), 1))
  }

  #words(field: number, most: number): void {
    const open = this.#writer.open(field)
    for (let i = this.#count(most, 200_000); i > 0; i--) this.#writer.packedSint32(this.#word())
    this.#writer.close(open)
  }

  #question(): void {
    const pick = this.#pick
    const writer = this.#writer
    const open = writer.open(6)
    if (this.#isWild && pick.chance(0.1)) this.#number(1)
    else writer.uint(1, pick.int(4))
    writer.sint32(2, this.#word(), true)
    if (pick.chance(0.6)) writer.sint32(3, this.#word(), true)
    if (pick.chance(0.6)) this.#test(4, pick.chance(MANY) ? 40 : 3)
    if (pick.chance(0.02)) this.#unknown(5)
    writer.close(open)
  }

  #test(field: number, depth: number): void {
    const pick = this.#pick
    const writer = this.#writer
    const open = writer.open(field)
    if (pick.chance(0.02)) this.#number(1)
    else writer.uint(1, pick.int(15))
    if (pick.chance(0.7)) this.#words(2, 3)
    if (pick.chance(0.3)) {
      const packed = writer.open(3)
      for (let i = this.#count(3, 300_000); i > 0; i--)
        writer.packedSint64(BigInt.asIntN(64, BigInt(pick.of([...WILD_NUMBERS]))))
      writer.close(packed)
    }
    if (pick.chance(0.2)) {
      const packed = writer.open(4)
      for (let i = this.#count(2, 300_000); i > 0; i--) writer.packedUint(pick.int(3))
      writer.close(packed)
    }
    if (pick.chance(0.1)) writer.double(5, pick.of([0, Number.NaN, Number.POSITIVE_INFINITY, 1e308]))
    const parts = depth > 5 ? 1 : depth > 0 ? this.#count(2, depth === 3 ? 20_000 : 2) : 0
    for (let i = parts; i > 0; i--) this.#test(6, depth > 5 ? depth - 1 : Math.min(depth - 1, pick.int(3)))
    if (pick.chance(0.1)) writer.bool(7, true)
    if (pick.chance(0.02)) this.#unknown(8)
    writer.close(open)
  }

  #shape(): void {
    const pick = this.#pick
    const writer = this.#writer
    const open = writer.open(7)
    writer.sint32(1, this.#word(), true)
    writer.sint32(2, this.#word(), true)
    this.#words(3, 2)
    this.#words(4, 2)
    for (const field of [5, 6]) {
      const packed = writer.open(field)
      for (let i = this.#questions === 0 ? 0 : this.#count(3, 20_000); i > 0; i--)
        writer.packedUint(8 * pick.int(this.#isWild ? 6 : this.#questions) + pick.int(this.#isWild ? 6 : 5))
      writer.close(packed)
    }
    if (pick.chance(0.02)) this.#unknown(7)
    writer.close(open)
  }

  #answer(ids: readonly number[]): void {
    const pick = this.#pick
    const writer = this.#writer
    const isKept = pick.chance(0.7)
    const open = writer.open(isKept ? 8 : 4)
    writer.uint(1, pick.chance(0.8) ? (ids[pick.int(ids.length)] ?? 1) : pick.of([0, 1, 2, 3, 2 ** 32 - 1]))
    if (pick.chance(0.4)) writer.int64(2, pick.of([...NUMBERS, -1, 5, 8, 14, 2 ** 40]))
    if (pick.chance(0.5)) writer.sint32(3, this.#word(), true)
    if (pick.chance(0.05)) this.#number(4)
    for (const field of [5, 6]) if (pick.chance(0.3)) this.#number(field)
    for (const field of [7, 8]) if (pick.chance(0.7)) this.#number(field)
    for (const field of [9, 10]) if (pick.chance(0.3)) this.#operations(field)
    if (pick.chance(0.3)) this.#direct()
    if (pick.chance(0.2)) this.#words(12, 3)
    if (this.#isWild || this.#shapes > 0) writer.uint(13, pick.int(this.#isWild ? 6 : this.#shapes), true)
    writer.sint32(14, this.#word(), true)
    if (pick.chance(0.3)) this.#number(15)
    if (pick.chance(0.3)) this.#number(16)
    if (pick.chance(0.1)) this.#number(18)
    if (pick.chance(0.03)) this.#unknown(17)
    writer.close(open)
  }

  #operations(field: number): void {
    const writer = this.#writer
    const open = writer.open(field)
    for (let i = this.#count(3, 50_000); i > 0; i--) {
      writer.packedSint32(this.#name())
      writer.packedSint32(this.#word())
      writer.packedSint32(this.#pick.chance(0.98) ? this.#pick.int(3) : this.#pick.of([-1, 3, 2 ** 31 - 1]))
    }
    writer.close(open)
  }

  #direct(): void {
    const pick = this.#pick
    const writer = this.#writer
    const open = writer.open(11)
    writer.int64(1, pick.of([0, 99, 100, 199, 200, 204, 302, 429, 599, 600, 999, -1, 2 ** 32 + 200]))
    writer.bytes(2, Buffer.alloc(pick.of([0, 3, 3, 1_000_000]), 'b'))
    const packed = writer.open(3)
    for (let i = this.#count(3, 50_000); i > 0; i--) {
      writer.packedSint32(this.#word())
      writer.packedSint32(this.#word())
    }
    writer.close(packed)
    writer.close(open)
  }

  #news(): void {
    const pick = this.#pick
    const writer = this.#writer
    const open = writer.open(9)
    if (pick.chance(0.5)) writer.int64(1, pick.of([0, 1, 2, 3, 2 ** 32 - 1]))
    if (pick.chance(0.6)) writer.sint32(2, this.#word(), true)
    if (pick.chance(0.5)) this.#number(3)
    for (let i = this.#count(2, 5_000); i > 0; i--) {
      const inner = writer.open(4)
      if (pick.chance(0.8)) this.#number(1)
      writer.int64(2, pick.chance(0.95) ? pick.int(3) : pick.of([...NUMBERS]))
      for (const field of [3, 4, 5]) if (pick.chance(0.7)) writer.sint32(field, this.#word(), true)
      writer.close(inner)
    }
    for (const field of [5, 6, 7]) if (pick.chance(0.3)) this.#number(field)
    if (pick.chance(0.5)) {
      const config = writer.open(8)
      writer.sint32(1, this.#word(), true)
      if (pick.chance(0.05)) this.#unknown(2)
      writer.close(config)
    }
    writer.close(open)
  }
}
