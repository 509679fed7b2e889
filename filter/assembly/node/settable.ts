// The questions that nodes ask, each once, whichever stream told it; and the attributes that the operator has set, of which no
// request has another value.

import { Bytes, copyOf, EMPTY, isBytes, isEqual } from '../bytes/bytes'
import { hashOf } from '../bytes/hash'
import { Question } from '../shape/question'
import { Test } from '../shape/test'
import { Writer } from '../wire/writer'

class Known {
  next: Known | null = null

  constructor(
    readonly id: Bytes,
    readonly question: Question,
  ) {}
}

const BUCKETS: i32 = 1_024
/** Bytes of all questions; beyond, they are not known again, and what was kept by them is not found. */
const MAX_BYTES = 4 * 1024 * 1024
const KNOWN_BYTES = 200
const writer = new Writer()

export class Settable {
  private buckets: StaticArray<Known | null> = new StaticArray<Known | null>(BUCKETS)
  private bytes: i32 = 0

  constructor(private readonly names: Array<Bytes>) {}

  isSet(name: Bytes): bool {
    for (let i = 0; i < this.names.length; i++) if (isBytes(this.names[i], name)) return true
    return false
  }

  /** The question that asks this; the same one each time. */
  question(kind: i32, name: Bytes, key: Bytes | null, test: Test | null): Question {
    writer.reset()
    writer.varint(kind)
    writeText(name)
    writer.varint(key === null ? 0 : 1)
    if (key !== null) writeText(key)
    if (test !== null) writeTest(test)
    const bucket = hashOf(writer.from, writer.size) & (BUCKETS - 1)
    let at = this.buckets[bucket]
    while (at !== null) {
      if (isEqual(at.id, writer.from, writer.size)) return at.question
      at = at.next
    }
    const bytes = KNOWN_BYTES + 2 * writer.size
    if (this.bytes + bytes > MAX_BYTES) {
      this.buckets = new StaticArray<Known | null>(BUCKETS)
      this.bytes = 0
    }
    const question = new Question(kind, name, key === null ? EMPTY : key, test, this.isSet(name), bytes)
    const known = new Known(copyOf(writer.from, writer.size), question)
    known.next = this.buckets[bucket]
    this.buckets[bucket] = known
    this.bytes += bytes
    return question
  }
}

function writeText(text: Bytes): void {
  writer.varint(text.length)
  writer.raw(text.dataStart, text.length)
}

function writeTest(test: Test): void {
  writer.varint(test.op)
  writer.varint(test.texts.length)
  for (let i = 0; i < test.texts.length; i++) writeText(test.texts[i])
  writer.varint(test.integers.length)
  for (let i = 0; i < test.integers.length; i++) writer.varint(<u64>test.integers[i])
  writer.varint(test.booleans.length)
  for (let i = 0; i < test.booleans.length; i++) writer.varint(test.booleans[i] ? 1 : 0)
  writer.varint(test.hasNumber ? 1 : 0)
  writer.varint(reinterpret<u64>(test.number))
  writer.varint(test.none ? 1 : 0)
  writer.varint(test.parts.length)
  for (let i = 0; i < test.parts.length; i++) writeTest(test.parts[i])
}
