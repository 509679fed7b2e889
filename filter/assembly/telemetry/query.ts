// The parameters of a query, decoded as nodes decode them for reports (wire/query-params.ts): `+` is a space, a `%` that begins no
// escape stays, of several values of one name the first counts. Bytes that are no UTF-8 become U+FFFD where nodes read them.

import { indexOfByte } from '../bytes/bytes'
import { take } from '../host/scratch'
import { hexOf } from './address'
import { StringMap } from './string-map'

const AMPERSAND: u8 = 0x26
const EQUALS: u8 = 0x3d
const PLUS: u8 = 0x2b
const PERCENT: u8 = 0x25
const SPACE: u8 = 0x20

export function readQuery(at: usize, size: i32, into: StringMap): void {
  for (let begin = 0; begin < size; ) {
    const part = at + <usize>begin
    const left = size - begin
    const ampersand = indexOfByte(part, left, AMPERSAND)
    const partSize = ampersand < 0 ? left : ampersand
    if (partSize > 0) readPart(part, partSize, into)
    begin += partSize + 1
  }
}

function readPart(at: usize, size: i32, into: StringMap): void {
  const equals = indexOfByte(at, size, EQUALS)
  const keySize = equals < 0 ? size : equals
  const key = decoded(at, keySize)
  const found = decodedSize
  if (into.find(key, found) >= 0) return
  if (equals < 0) into.add(key, found, key, 0)
  else {
    const value = decoded(at + <usize>(equals + 1), size - equals - 1)
    into.add(key, found, value, decodedSize)
  }
}

let decodedSize: i32 = 0

/** Where the text lies that another one stands for; its size is `decodedSize`. */
function decoded(at: usize, size: i32): usize {
  decodedSize = size
  let i = 0
  for (; i < size; i++) {
    const code = load<u8>(at + <usize>i)
    if (code === PLUS || code === PERCENT) break
  }
  if (i === size) return at
  const to = take(size)
  memory.copy(to, at, i)
  let used = i
  while (i < size) {
    let code = load<u8>(at + <usize>i)
    if (code === PLUS) code = SPACE
    else if (code === PERCENT && i + 2 < size) {
      const high = hexOf(load<u8>(at + <usize>(i + 1)))
      const low = hexOf(load<u8>(at + <usize>(i + 2)))
      if (high >= 0 && low >= 0) {
        code = <u8>((high << 4) | low)
        i += 2
      }
    }
    store<u8>(to + <usize>used, code)
    used++
    i++
  }
  decodedSize = used
  return to
}
