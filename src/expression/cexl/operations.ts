// What the comparison operators, `+` and the functions of CEXL do with values whose types have been checked.

import { equalIp } from '../../kernel/ip-address.ts'
import type { Timestamp } from '../../kernel/time.ts'
import type { AttributeValue, ValueType } from '../../kernel/value.ts'
import type { EvaluationError } from '../compiled.ts'
import { byteLength, compareStrings, toLower } from '../functions/bytes.ts'
import { ip, match, timestamp } from '../functions/conversions.ts'
import { dnsName, equalDnsNames } from '../functions/dns-name.ts'
import { email, equalEmails } from '../functions/email.ts'
import { equalUris, uri } from '../functions/uri.ts'

type Result = AttributeValue | EvaluationError

/** Two operands of one type. */
export type Binary = (left: never, right: never) => Result

/** Up to three arguments, the target of a method first. */
export type Apply = (first: never, second: never, third: never) => Result

const same = (left: AttributeValue, right: AttributeValue) => left === right

/** Equality by type. Types that are not here have none in Mixer. */
export const EQUALITY: Readonly<Partial<Record<ValueType, Binary>>> = {
  BOOL: same,
  STRING: same,
  INT64: same,
  // Mixer compares the bits: NaN equals itself and the two zeros differ.
  DOUBLE: (left: number, right: number) => Object.is(left, right),
  IP_ADDRESS: equalIp,
  TIMESTAMP: (left: Timestamp, right: Timestamp) => left.epochNanos === right.epochNanos,
  DNS_NAME: equalDnsNames,
  EMAIL_ADDRESS: equalEmails,
  URI: equalUris,
}

interface Order {
  /** In Mixer's words, for the message about a type that cannot be compared. */
  readonly words: string
  readonly STRING: Binary
  readonly INT64: Binary
  readonly DOUBLE: Binary
  readonly TIMESTAMP: Binary
}

type Numeric = (left: number | bigint, right: number | bigint) => boolean

function order(words: string, holds: Numeric): Order {
  return {
    words,
    STRING: (left: string, right: string) => holds(compareStrings(left, right), 0),
    INT64: holds,
    DOUBLE: holds,
    TIMESTAMP: (left: Timestamp, right: Timestamp) => holds(left.epochNanos, right.epochNanos),
  }
}

/** Order by the operator's name. */
export const ORDER: Readonly<Partial<Record<string, Order>>> = {
  LT: order('less than', (left, right) => left < right),
  LEQ: order('less or equal', (left, right) => left <= right),
  GT: order('greater than', (left, right) => left > right),
  GEQ: order('greater or equal', (left, right) => left >= right),
}

/** Sums by type; integers wrap at 64 bits. */
export const ADDITION: Readonly<Partial<Record<ValueType, Binary>>> = {
  STRING: (left: string, right: string) => left + right,
  INT64: (left: bigint, right: bigint) => BigInt.asIntN(64, left + right),
  DOUBLE: (left: number, right: number) => left + right,
}

/** Functions that take their arguments as values and know nothing of the bag; `matches` is compiled apart. */
export const FUNCTIONS: ReadonlyMap<string, Apply> = new Map<string, Apply>([
  ['size', byteLength],
  ['ip', ip],
  ['timestamp', timestamp],
  ['dnsName', dnsName],
  ['email', email],
  ['uri', uri],
  ['match', match],
  ['toLower', toLower],
  ['emptyStringMap', () => new Map<string, string>()],
  ['conditionalString', (condition: boolean, yes: string, no: string) => (condition ? yes : no)],
  ['startsWith', (text: string, prefix: string) => text.startsWith(prefix)],
  ['endsWith', (text: string, suffix: string) => text.endsWith(suffix)],
])

/** The types of Mixer's byte code, which its messages name. */
export function byteCodeType(type: ValueType): string {
  if (type === 'INT64') return 'integer'
  if (type === 'BOOL' || type === 'DOUBLE' || type === 'DURATION') return type.toLowerCase()
  return type === 'TIMESTAMP' || type === 'IP_ADDRESS' || type === 'STRING_MAP' ? 'interface' : 'string'
}
