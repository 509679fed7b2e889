// What the operator has set (`context_extensions`), as records have it: by the type of its name, others as texts.

import { Bytes, decimalOf, isEqual, bytesOf } from '../bytes/bytes'
import { Writer } from '../wire/writer'
import { address, readAddress } from './address'
import { attributeNamed, NAME_WORDS, NO_WORD, Type, TYPES } from './report-attributes'
import { WordList } from './word-list'

const TRUE = bytesOf('true')
const FALSE = bytesOf('false')

export class SetAttributes {
  /** Attributes that are set here and not read of requests, a bit each. */
  readonly attributes: u64
  private readonly names: Array<Bytes> = []
  private readonly values: Array<Bytes> = []
  private readonly types: Array<i32> = []
  private readonly words: Array<i32> = []

  /** @param set names and values in turns */
  constructor(set: Array<Bytes>) {
    let attributes: u64 = 0
    for (let i = 0; i < set.length; i += 2) {
      const attribute = attributeNamed(set[i])
      const type = attribute < 0 ? <i32>Type.TEXT : TYPES[attribute]
      if (!isOf(set[i + 1], type)) continue
      this.names.push(set[i])
      this.values.push(set[i + 1])
      this.types.push(type)
      this.words.push(attribute < 0 ? NO_WORD : NAME_WORDS[attribute])
      if (attribute >= 0) attributes |= (<u64>1) << attribute
    }
    this.attributes = attributes
  }

  write(writer: Writer, words: WordList): void {
    for (let i = 0; i < this.names.length; i++) {
      const value = this.values[i]
      const type = this.types[i]
      const name =
        this.words[i] === NO_WORD ? words.index(this.names[i].dataStart, this.names[i].length) : this.words[i]
      const entry = writer.open(type)
      writer.sintField(1, name)
      if (type === Type.TEXT) writer.sintField(2, words.index(value.dataStart, value.length))
      else if (type === Type.INTEGER) writer.intAlways(2, decimalOf(value.dataStart, value.length))
      else if (type === Type.BOOLEAN) writer.intAlways(2, isEqual(TRUE, value.dataStart, value.length) ? 1 : 0)
      else writer.bytesAlways(2, address, readAddress(value.dataStart, value.length))
      writer.close(entry)
    }
  }
}

/** Whether a text says a value of a type. What says none is read of requests, as if it were not set. */
function isOf(text: Bytes, type: i32): bool {
  if (type === Type.TEXT) return true
  if (type === Type.INTEGER) return decimalOf(text.dataStart, text.length) >= 0
  if (type === Type.BYTES) return readAddress(text.dataStart, text.length) > 0
  if (type !== Type.BOOLEAN) return false
  return isEqual(TRUE, text.dataStart, text.length) || isEqual(FALSE, text.dataStart, text.length)
}
