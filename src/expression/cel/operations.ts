// Equality, order and arithmetic of CEL values. Types are known only at run time where an operand is `dyn`.

import { equalIp } from '../../kernel/ip-address.ts'
import type { ReadLog } from '../../kernel/read-log.ts'
import { Duration, Timestamp } from '../../kernel/time.ts'
import { EvaluationError } from '../compiled.ts'
import { compareStrings } from '../functions/bytes.ts'
import { equalDnsNames } from '../functions/dns-name.ts'
import { equalEmails } from '../functions/email.ts'
import { equalUris } from '../functions/uri.ts'
import { EXHAUSTED, READER_WEIGHT, spend, spendCharacters } from '../steps.ts'
import {
  AttributeMap,
  type CelMap,
  type CelResult,
  type CelValue,
  Namespace,
  readWhole,
  TypeValue,
  typeName,
  Uint,
  Wrapped,
} from './values.ts'

const INT64_MIN = -(2n ** 63n)
const INT64_MAX = 2n ** 63n - 1n
const UINT64_MAX = 2n ** 64n - 1n
const YEAR_1 = -62_135_596_800_000_000_000n
const YEAR_10000 = 253_402_300_800_000_000_000n

/**
 * Equality; an error where Mixer has none (attribute prefixes, wrapped values of different types). Map attributes are
 * compared with all of their entries, as CEL says; Mixer had no equality of them.
 */
export function equals(left: CelValue, right: CelValue, log: ReadLog | undefined): boolean | EvaluationError {
  if (typeof left === 'string' && typeof right === 'string') return equalStrings(left, right)
  if (left instanceof AttributeMap || right instanceof AttributeMap) return equalAttributeMaps(left, right, log)
  if (left instanceof Namespace || right instanceof Namespace) {
    return new EvaluationError('attribute message does not support equality')
  }
  if (left instanceof Wrapped && right instanceof Wrapped) return equalWrapped(left, right)
  if (left instanceof Timestamp && right instanceof Timestamp) return left.epochNanos === right.epochNanos
  if (left instanceof Duration && right instanceof Duration) return left.nanos === right.nanos
  if (left instanceof Uint8Array && right instanceof Uint8Array) return equalBytes(left, right)
  if (left instanceof TypeValue && right instanceof TypeValue) return left.name === right.name
  if (Array.isArray(left) && Array.isArray(right)) return equalLists(left, right, log)
  if (left instanceof Map && right instanceof Map) return equalMaps(left, right, log)
  const one = numberOf(left)
  const two = numberOf(right)
  // Loose equality compares an integer with a fraction exactly, which CEL asks for and strict equality never does.
  // oxlint-disable-next-line eqeqeq
  return one !== undefined && two !== undefined ? one == two : left === right
}

/** Only texts of one length are compared character by character. */
function equalStrings(left: string, right: string): boolean | EvaluationError {
  return left.length !== right.length || spendCharacters(left.length) ? left === right : EXHAUSTED
}

function equalBytes(left: Uint8Array, right: Uint8Array): boolean | EvaluationError {
  if (left.length !== right.length) return false
  return spendCharacters(left.length) ? Buffer.compare(left, right) === 0 : EXHAUSTED
}

function equalAttributeMaps(left: CelValue, right: CelValue, log: ReadLog | undefined): boolean | EvaluationError {
  const one = readWhole(left, log)
  if (one instanceof EvaluationError) return one
  const two = readWhole(right, log)
  return two instanceof EvaluationError ? two : equals(one, two, log)
}

function equalWrapped(left: Wrapped, right: Wrapped): boolean | EvaluationError {
  if (left.type !== right.type) return new EvaluationError(`cannot compare ${left.type} and ${right.type}`)
  if (left.value instanceof Uint8Array || right.value instanceof Uint8Array) {
    return left.value instanceof Uint8Array && right.value instanceof Uint8Array && equalIp(left.value, right.value)
  }
  if (!spendCharacters(READER_WEIGHT * (left.value.length + right.value.length))) return EXHAUSTED
  if (left.type === 'EMAIL_ADDRESS') return equalEmails(left.value, right.value)
  return left.type === 'URI' ? equalUris(left.value, right.value) : equalDnsNames(left.value, right.value)
}

function equalLists(
  left: readonly CelValue[],
  right: readonly CelValue[],
  log: ReadLog | undefined,
): boolean | EvaluationError {
  if (left.length !== right.length) return false
  if (!spend(left.length)) return EXHAUSTED
  return everyEqual(
    left.map((value, i) => [value, right[i] ?? null]),
    log,
  )
}

function equalMaps(left: CelMap, right: CelMap, log: ReadLog | undefined): boolean | EvaluationError {
  if (left.size !== right.size) return false
  if (!spend(left.size)) return EXHAUSTED
  const pairs: [CelValue, CelValue][] = []
  for (const [key, value] of left) {
    const other = right.get(key)
    if (other === undefined) return false
    pairs.push([value, other])
  }
  return everyEqual(pairs, log)
}

function everyEqual(
  pairs: readonly (readonly [CelValue, CelValue])[],
  log: ReadLog | undefined,
): boolean | EvaluationError {
  let failure: EvaluationError | undefined
  for (const [left, right] of pairs) {
    const same = equals(left, right, log)
    if (same === false) return false
    if (same !== true) failure ??= same
  }
  return failure ?? true
}

function numberOf(value: CelValue): number | bigint | undefined {
  if (typeof value === 'number' || typeof value === 'bigint') return value
  return value instanceof Uint ? value.value : undefined
}

export type BinaryOperator = '<' | '<=' | '>' | '>=' | '+' | '-' | '*' | '/' | '%'

/** Applies an operator other than equality, `in` and the logical ones. */
export function operate(operator: BinaryOperator, left: CelValue, right: CelValue): CelResult {
  if (operator === '<' || operator === '<=' || operator === '>' || operator === '>=')
    return order(operator, left, right)
  if (typeof left === 'bigint' && typeof right === 'bigint') return integer(operator, left, right)
  if (left instanceof Uint && right instanceof Uint) return unsigned(operator, left.value, right.value)
  if (typeof left === 'number' && typeof right === 'number') return double(operator, left, right)
  if (operator === '+' || operator === '-') {
    const sum = timeSum(operator, left, right)
    if (sum !== undefined) return sum
  }
  if (operator === '+') {
    const sum = sequenceSum(left, right)
    if (sum !== undefined) return sum
  }
  return noOverload(operator, left, right)
}

/** Sums of texts, lists and bytes grow with every operand, so they take steps. */
function sequenceSum(left: CelValue, right: CelValue): CelResult | undefined {
  if (typeof left === 'string' && typeof right === 'string') {
    return spendCharacters(left.length + right.length) ? left + right : EXHAUSTED
  }
  if (Array.isArray(left) && Array.isArray(right)) {
    return spend(left.length + right.length) ? ([...left, ...right] as readonly CelValue[]) : EXHAUSTED
  }
  if (!(left instanceof Uint8Array && right instanceof Uint8Array)) return undefined
  return spendCharacters(left.length + right.length) ? new Uint8Array(Buffer.concat([left, right])) : EXHAUSTED
}

function noOverload(operator: string, left: CelValue, right: CelValue): EvaluationError {
  return new EvaluationError(`no such overload: ${typeName(left)} ${operator} ${typeName(right)}`)
}

function order(operator: '<' | '<=' | '>' | '>=', left: CelValue, right: CelValue): CelResult {
  const one = orderable(left)
  const two = orderable(right)
  const numbers = typeof one !== 'boolean' && typeof two !== 'boolean'
  if (one !== undefined && two !== undefined && (numbers || typeof one === typeof two) && sameKind(left, right)) {
    return holds(operator, one, two)
  }
  if (typeof left === 'string' && typeof right === 'string') {
    if (!spendCharacters(Math.min(left.length, right.length))) return EXHAUSTED
    return holds(operator, compareStrings(left, right), 0)
  }
  if (left instanceof Uint8Array && right instanceof Uint8Array) {
    if (!spendCharacters(Math.min(left.length, right.length))) return EXHAUSTED
    return holds(operator, Buffer.compare(left, right), 0)
  }
  return noOverload(operator, left, right)
}

type Orderable = number | bigint | boolean

function orderable(value: CelValue): Orderable | undefined {
  if (value instanceof Timestamp) return value.epochNanos
  if (value instanceof Duration) return value.nanos
  return typeof value === 'boolean' ? value : numberOf(value)
}

function sameKind(left: CelValue, right: CelValue): boolean {
  if (left instanceof Timestamp || right instanceof Timestamp)
    return left instanceof Timestamp && right instanceof Timestamp
  return left instanceof Duration === right instanceof Duration
}

/** An integer is compared with a fraction as a fraction. */
function holds(operator: '<' | '<=' | '>' | '>=', one: Orderable, two: Orderable): boolean {
  const left = typeof two === 'number' ? Number(one) : one
  const right = typeof one === 'number' ? Number(two) : two
  if (operator === '<') return left < right
  if (operator === '<=') return left <= right
  return operator === '>' ? left > right : left >= right
}

function integer(operator: BinaryOperator, left: bigint, right: bigint): CelResult {
  const value = compute(operator, left, right)
  if (typeof value !== 'bigint') return value
  return value < INT64_MIN || value > INT64_MAX ? new EvaluationError('integer overflow') : value
}

function unsigned(operator: BinaryOperator, left: bigint, right: bigint): CelResult {
  const value = compute(operator, left, right)
  if (typeof value !== 'bigint') return value
  return value < 0n || value > UINT64_MAX ? new EvaluationError('unsigned integer overflow') : new Uint(value)
}

function compute(operator: BinaryOperator, left: bigint, right: bigint): bigint | EvaluationError {
  if (operator === '+') return left + right
  if (operator === '-') return left - right
  if (operator === '*') return left * right
  if (right === 0n) return new EvaluationError(operator === '/' ? 'divide by zero' : 'modulus by zero')
  return operator === '/' ? left / right : left % right
}

function double(operator: BinaryOperator, left: number, right: number): CelResult {
  if (operator === '+') return left + right
  if (operator === '-') return left - right
  if (operator === '*') return left * right
  return operator === '/' ? left / right : noOverload(operator, left, right)
}

function timeSum(operator: '+' | '-', left: CelValue, right: CelValue): CelResult | undefined {
  const sign = operator === '+' ? 1n : -1n
  if (right instanceof Duration) {
    if (left instanceof Duration) return duration(left.nanos + sign * right.nanos)
    if (left instanceof Timestamp) return inCalendar(new Timestamp(left.epochNanos + sign * right.nanos))
  }
  if (!(right instanceof Timestamp)) return undefined
  if (left instanceof Duration && operator === '+') return inCalendar(new Timestamp(left.nanos + right.epochNanos))
  return left instanceof Timestamp && operator === '-' ? duration(left.epochNanos - right.epochNanos) : undefined
}

/** The timestamp, unless it is before the year 1 or after the year 9999. */
export function inCalendar(timestamp: Timestamp): Timestamp | EvaluationError {
  const { epochNanos } = timestamp
  return epochNanos < YEAR_1 || epochNanos >= YEAR_10000 ? new EvaluationError('timestamp overflow') : timestamp
}

function duration(nanos: bigint): CelResult {
  return nanos < INT64_MIN || nanos > INT64_MAX ? new EvaluationError('duration overflow') : new Duration(nanos)
}

/** The negative of a number. */
export function negate(value: CelValue): CelResult {
  if (typeof value === 'number') return -value
  if (typeof value === 'bigint') return integer('-', 0n, value)
  return new EvaluationError(`no such overload: -${typeName(value)}`)
}
