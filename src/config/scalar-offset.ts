// From an index within a scalar's value to an offset in the file: quotes, escapes and folded lines lie between.

import type { ScalarNode } from './config-node.ts'

const ESCAPE_LENGTHS: Readonly<Record<string, number>> = { x: 4, u: 6, U: 10 }

/**
 * The offset in the file of the character at `index` of a scalar's text. For block scalars it is the place of the
 * line that holds the character, since indentation and folding have been taken away.
 */
export function offsetInScalar(scalar: ScalarNode, index: number): number {
  const source = scalar.file.text
  if (scalar.style === 'block') return blockOffset(scalar, index)
  let at = scalar.offset + (scalar.style === 'plain' ? 0 : 1)
  let position = 0
  while (at < source.length) {
    const step = stepAt(source, at, scalar.style)
    // An escaped line break stands for nothing: the character comes after it.
    if (position >= index && step.values > 0) break
    position += step.values
    at += step.length
  }
  return at
}

interface Step {
  /** Characters of source. */
  readonly length: number
  /** Characters of value. */
  readonly values: number
}

function stepAt(source: string, at: number, style: ScalarNode['style']): Step {
  const char = source[at]
  if (style === 'single' && char === "'") return { length: 2, values: 1 }
  if (style === 'double' && char === '\\') {
    const next = source[at + 1] ?? ''
    if (next === '\n' || next === '\r') return { length: 1 + blankLength(source, at + 1), values: 0 }
    const length = ESCAPE_LENGTHS[next] ?? 2
    const wide = next === 'U' && Number.parseInt(source.slice(at + 2, at + 10), 16) > 0xffff
    return { length, values: wide ? 2 : 1 }
  }
  const blank = blankLength(source, at)
  const breaks = source.slice(at, at + blank).split('\n').length - 1
  // A folded line break is one space, n of them are n - 1 line feeds; blanks around them vanish.
  return breaks === 0 ? { length: 1, values: 1 } : { length: blank, values: Math.max(1, breaks - 1) }
}

function blankLength(source: string, at: number): number {
  let end = at
  while (end < source.length && ' \t\r\n'.includes(source[end] ?? 'x')) end++
  return end - at
}

function blockOffset(scalar: ScalarNode, index: number): number {
  const source = scalar.file.text
  const target = scalar.text.slice(0, index).split('\n').length - 1
  let at = source.indexOf('\n', scalar.offset) + 1
  for (let line = 0; line < target && at > 0; line++) at = source.indexOf('\n', at) + 1
  if (at <= 0) return scalar.offset
  while (source[at] === ' ') at++
  return at
}
