// Literals of CEXL as typed constants. A string that reads as a duration is a duration.

import { parseDuration } from '../../kernel/time.ts'
import type { AttributeValue, ValueType } from '../../kernel/value.ts'
import { unquote } from './literal-scanner.ts'

const INT64_MIN = -(2n ** 63n)
const INT64_MAX = 2n ** 63n - 1n

export type LiteralResult = { readonly type: ValueType; readonly value: AttributeValue } | { readonly error: string }

/** Reads the text of one literal as an INT64, a DOUBLE or (any other `type`) a quoted STRING or DURATION. */
export function parseLiteral(text: string, type: ValueType): LiteralResult {
  if (type === 'INT64') return parseInteger(text)
  if (type === 'DOUBLE') return parseDouble(text)
  const unquoted = unquote(text)
  if (unquoted === undefined) return { error: 'invalid syntax' }
  const duration = parseDuration(unquoted)
  return duration === undefined ? { type: 'STRING', value: unquoted } : { type: 'DURATION', value: duration }
}

function parseInteger(text: string): LiteralResult {
  if (!/^[+-]?\d+$/.test(text)) return { error: `strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax` }
  const value = BigInt(text)
  if (value >= INT64_MIN && value <= INT64_MAX) return { type: 'INT64', value }
  return { error: `strconv.ParseInt: parsing ${JSON.stringify(text)}: value out of range` }
}

function parseDouble(text: string): LiteralResult {
  const wrong = (problem: string) => ({ error: `strconv.ParseFloat: parsing ${JSON.stringify(text)}: ${problem}` })
  const value = /^0[xX]/.test(text) ? parseHexDouble(text) : parseDecimalDouble(text)
  if (value === undefined) return wrong('invalid syntax')
  return Number.isFinite(value) ? { type: 'DOUBLE', value } : wrong('value out of range')
}

function parseDecimalDouble(text: string): number | undefined {
  return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text) ? Number(text) : undefined
}

function parseHexDouble(text: string): number | undefined {
  const parts = /^0[xX]([0-9a-fA-F]*)(?:\.([0-9a-fA-F]*))?[pP]([+-]?\d+)$/.exec(text)
  if (parts === null) return undefined
  const [, whole = '', fraction = '', exponent = '0'] = parts
  if (whole + fraction === '') return undefined
  return Number(BigInt(`0x${whole}${fraction}`)) * 2 ** (Number(exponent) - 4 * fraction.length)
}
