// Text as a header can carry it, as nodes clean it (kernel/header-field.ts): a run of control characters is one space, and there is
// no white space around it.

import { Bytes, EMPTY } from '../bytes/bytes'

function isControl(code: u8): bool {
  return (code < 0x20 && code !== 0x09) || code === 0x7f
}

function isSpace(code: u8): bool {
  return code === 0x20 || code === 0x09
}

export function cleanValue(value: Bytes): Bytes {
  let isClean = value.length === 0 || !(isSpace(value[0]) || isSpace(value[value.length - 1]))
  for (let i = 0; isClean && i < value.length; i++) isClean = !isControl(value[i])
  if (isClean) return value
  const clean = new Uint8Array(value.length)
  let size = 0
  for (let i = 0; i < value.length; i++) {
    const code = value[i]
    if (!isControl(code)) clean[size++] = code
    else if (i === 0 || !isControl(value[i - 1])) clean[size++] = 0x20
  }
  let from = 0
  while (from < size && isSpace(clean[from])) from++
  while (size > from && isSpace(clean[size - 1])) size--
  return from === size ? EMPTY : clean.slice(from, size)
}
