// What is known of one request when it is over. There is one of these for all requests: what it points to lies in memory of the
// callback, and is written before that ends.

import { Bytes } from '../bytes/bytes'
import { Is } from './report-attributes'
import { StringMap } from './string-map'

export class Record {
  /** Which attributes there are, a bit each. */
  attributes: u64 = 0
  readonly places: StaticArray<usize> = new StaticArray<usize>(Is.COUNT)
  readonly sizes: StaticArray<i32> = new StaticArray<i32>(Is.COUNT)
  /** Integers, booleans, and nanoseconds. */
  readonly numbers: StaticArray<i64> = new StaticArray<i64>(Is.COUNT)
  readonly query: StringMap = new StringMap()
  readonly requestHeaders: StringMap = new StringMap()
  readonly responseHeaders: StringMap = new StringMap()

  clear(): void {
    this.attributes = 0
    this.query.count = 0
    this.requestHeaders.count = 0
    this.responseHeaders.count = 0
  }

  has(attribute: i32): bool {
    return (this.attributes & ((<u64>1) << attribute)) !== 0
  }

  number(attribute: i32, value: i64): void {
    this.attributes |= (<u64>1) << attribute
    unchecked((this.numbers[attribute] = value))
  }

  /** A text, or an IP address as text. */
  text(attribute: i32, at: usize, size: i32): void {
    this.attributes |= (<u64>1) << attribute
    unchecked((this.places[attribute] = at))
    unchecked((this.sizes[attribute] = size))
  }

  bytes(attribute: i32, value: Bytes): void {
    this.text(attribute, value.dataStart, value.length)
  }

  /** The map of an attribute is filled: it is there, empty or not. */
  filled(attribute: i32): void {
    this.attributes |= (<u64>1) << attribute
  }

  map(attribute: i32): StringMap {
    if (attribute === Is.QUERY_PARAMS) return this.query
    return attribute === Is.REQUEST_HEADERS ? this.requestHeaders : this.responseHeaders
  }
}
