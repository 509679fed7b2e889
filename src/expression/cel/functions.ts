// CEL's functions on values, the standard ones and Mixer's. A method's target is its first argument.

import type { ReadLog } from '../../kernel/read-log.ts'
import { Duration, parseDuration, Timestamp } from '../../kernel/time.ts'
import { ambiguousKeys } from '../ambiguous-reads.ts'
import { EvaluationError } from '../compiled.ts'
import { reverse, toLower } from '../functions/bytes.ts'
import { ip, match, timestamp } from '../functions/conversions.ts'
import { dnsName } from '../functions/dns-name.ts'
import { email } from '../functions/email.ts'
import { uri } from '../functions/uri.ts'
import { EXHAUSTED, spend } from '../steps.ts'
import { inCalendar } from './operations.ts'
import { zoneOffset } from './time-zone.ts'
import {
  AttributeMap,
  type CelResult,
  type CelValue,
  typeName,
  TypeValue,
  Uint,
  Wrapped,
  type WrappedType,
} from './values.ts'

type CelFunction = (args: readonly CelValue[], log: ReadLog | undefined) => CelResult

function noOverload(name: string, args: readonly CelValue[]): EvaluationError {
  return new EvaluationError(`no such overload: ${name}(${args.map(typeName).join(', ')})`)
}

/** A function of one string. */
function text1(name: string, apply: (text: string) => CelResult): CelFunction {
  return (args) => (args.length === 1 && typeof args[0] === 'string' ? apply(args[0]) : noOverload(name, args))
}

/** A function of two strings. */
function text2(name: string, apply: (one: string, two: string) => CelResult): CelFunction {
  return (args) => {
    const [one, two] = args
    return args.length === 2 && typeof one === 'string' && typeof two === 'string'
      ? apply(one, two)
      : noOverload(name, args)
  }
}

function wrapper(
  type: WrappedType,
  name: string,
  read: (text: string) => string | Uint8Array | EvaluationError,
): CelFunction {
  return text1(name, (text) => {
    const value = read(text)
    return value instanceof EvaluationError ? value : new Wrapped(type, value)
  })
}

function size([value]: readonly CelValue[], log: ReadLog | undefined): CelResult {
  if (typeof value === 'string') return BigInt(Array.from(value).length)
  if (value instanceof AttributeMap) {
    const { name, map } = value
    if (log !== undefined) log.wholeMap(name, map)
    return map === undefined ? 0n : (ambiguousKeys(map, name) ?? BigInt(map.size))
  }
  if (value instanceof Map) return BigInt(value.size)
  if (Array.isArray(value) || value instanceof Uint8Array) return BigInt(value.length)
  return noOverload('size', [value ?? null])
}

function toInt([value]: readonly CelValue[]): CelResult {
  if (typeof value === 'bigint') return value
  if (value instanceof Uint) return inRange(value.value, 'int')
  if (value instanceof Timestamp) return value.toParts().seconds
  if (typeof value === 'number') {
    if (!(value > -(2 ** 63) && value < 2 ** 63)) return new EvaluationError('integer overflow')
    return BigInt(Math.trunc(value))
  }
  if (typeof value === 'string' && /^[+-]?\d+$/.test(value)) return inRange(BigInt(value), 'int')
  return conversionError(value, 'int')
}

function toUint([value]: readonly CelValue[]): CelResult {
  if (value instanceof Uint) return value
  if (typeof value === 'bigint') return inRange(value, 'uint')
  if (typeof value === 'number') {
    return value >= 0 && value < 2 ** 64
      ? new Uint(BigInt(Math.trunc(value)))
      : new EvaluationError('unsigned integer overflow')
  }
  return typeof value === 'string' && /^\d+$/.test(value)
    ? inRange(BigInt(value), 'uint')
    : conversionError(value, 'uint')
}

function inRange(value: bigint, type: 'int' | 'uint'): CelResult {
  if (type === 'uint') {
    return BigInt.asUintN(64, value) === value ? new Uint(value) : new EvaluationError('unsigned integer overflow')
  }
  return BigInt.asIntN(64, value) === value ? value : new EvaluationError('integer overflow')
}

function toDouble([value]: readonly CelValue[]): CelResult {
  if (typeof value === 'number') return value
  if (typeof value === 'bigint') return Number(value)
  if (value instanceof Uint) return Number(value.value)
  if (typeof value !== 'string') return conversionError(value, 'double')
  if (/^[+-]?(?:NaN|Infinity)$/.test(value)) return Number(value)
  const number = DECIMAL.test(value) ? Number(value) : Number.NaN
  return Number.isFinite(number) ? number : conversionError(value, 'double')
}

/** Only one way to read any text, so that a long one is refused in linear time. */
const DECIMAL = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/

function toText([value]: readonly CelValue[]): CelResult {
  if (typeof value === 'string') return value
  if (value instanceof Uint) return String(value.value)
  if (value instanceof Timestamp) return value.toString()
  if (value instanceof Duration) return `${durationSeconds(value)}s`
  if (value instanceof Uint8Array) {
    const text = Buffer.from(value).toString()
    return Buffer.from(text).equals(value) ? text : new EvaluationError('invalid UTF-8')
  }
  if (typeof value === 'bigint' || typeof value === 'number' || typeof value === 'boolean') return String(value)
  return conversionError(value, 'string')
}

/** Seconds with their fraction, CEL's text form of a duration. */
function durationSeconds(value: Duration): string {
  const { seconds, nanos } = value.toParts()
  const sign = value.nanos < 0n ? '-' : ''
  const fraction = nanos === 0 ? '' : `.${String(Math.abs(nanos)).padStart(9, '0').replace(/0+$/, '')}`
  return `${sign}${seconds < 0n ? -seconds : seconds}${fraction}`
}

const BOOL_TEXTS: ReadonlyMap<CelValue, boolean> = new Map([
  ...['1', 't', 'true', 'TRUE', 'True', 'T'].map((text) => [text, true] as const),
  ...['0', 'f', 'false', 'FALSE', 'False', 'F'].map((text) => [text, false] as const),
])

function toBool([value]: readonly CelValue[]): CelResult {
  if (typeof value === 'boolean') return value
  return BOOL_TEXTS.get(value ?? null) ?? conversionError(value, 'bool')
}

function conversionError(value: CelValue | undefined, type: string): EvaluationError {
  const shown = typeof value === 'string' ? ` '${value}'` : ''
  return new EvaluationError(`type conversion error from '${typeName(value ?? null)}'${shown} to '${type}'`)
}

function toTimestamp([value]: readonly CelValue[]): CelResult {
  if (value instanceof Timestamp) return value
  if (typeof value === 'bigint') return inCalendar(Timestamp.fromParts(value, 0))
  if (typeof value !== 'string') return noOverload('timestamp', [value ?? null])
  const read = timestamp(value)
  return read instanceof Timestamp ? inCalendar(read) : read
}

function toDuration([value]: readonly CelValue[]): CelResult {
  if (value instanceof Duration) return value
  if (typeof value !== 'string') return noOverload('duration', [value ?? null])
  return parseDuration(value) ?? new EvaluationError(`time: invalid duration ${value}`)
}

function typeOf([value]: readonly CelValue[]): CelResult {
  return new TypeValue(typeName(value ?? null))
}

type Part = (date: Date) => number

/** Looking up a zone, which may be one that a caller made up, is worth so many steps. */
const ZONE_STEPS = 500

/** Parts of a point in time (in UTC, or in the zone of the second argument), or of a duration in whole units. */
function part(name: string, ofDate: Part, unitNanos?: bigint): CelFunction {
  return (args) => {
    const [value, zone = 'UTC'] = args
    if (value instanceof Timestamp && typeof zone === 'string') {
      if (args.length > 1 && !spend(ZONE_STEPS)) return EXHAUSTED
      const millis = value.toMillis()
      const offset = zoneOffset(zone, millis)
      return offset === undefined
        ? new EvaluationError(`unknown time zone ${zone}`)
        : BigInt(ofDate(new Date(millis + offset)))
    }
    return value instanceof Duration && unitNanos !== undefined ? value.nanos / unitNanos : noOverload(name, args)
  }
}

const dayOfYear = (date: Date) => Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / 86_400_000)

function milliseconds(args: readonly CelValue[]): CelResult {
  const [value] = args
  if (value instanceof Duration) return (value.nanos / 1_000_000n) % 1000n
  return part('getMilliseconds', (date) => date.getUTCMilliseconds())(args, undefined)
}

/** Functions and methods by name; `matches` is compiled apart. */
export const CEL_FUNCTIONS: ReadonlyMap<string, CelFunction> = new Map<string, CelFunction>([
  ['size', size],
  ['contains', text2('contains', (text, part) => text.includes(part))],
  ['startsWith', text2('startsWith', (text, prefix) => text.startsWith(prefix))],
  ['endsWith', text2('endsWith', (text, suffix) => text.endsWith(suffix))],
  ['int', toInt],
  ['uint', toUint],
  ['double', toDouble],
  ['string', toText],
  ['bool', toBool],
  [
    'bytes',
    (args) =>
      args[0] instanceof Uint8Array
        ? args[0]
        : text1('bytes', (text) => new Uint8Array(Buffer.from(text)))(args, undefined),
  ],
  ['dyn', ([value]) => value ?? null],
  ['type', typeOf],
  ['timestamp', toTimestamp],
  ['duration', toDuration],
  ['ip', wrapper('IP_ADDRESS', 'ip', ip)],
  ['dnsName', wrapper('DNS_NAME', 'dnsName', dnsName)],
  ['email', wrapper('EMAIL_ADDRESS', 'email', email)],
  ['uri', wrapper('URI', 'uri', uri)],
  ['match', text2('match', match)],
  ['reverse', text1('reverse', reverse)],
  ['toLower', text1('toLower', toLower)],
  ['emptyStringMap', () => new Map()],
  ['getFullYear', part('getFullYear', (date) => date.getUTCFullYear())],
  ['getMonth', part('getMonth', (date) => date.getUTCMonth())],
  ['getDate', part('getDate', (date) => date.getUTCDate())],
  ['getDayOfMonth', part('getDayOfMonth', (date) => date.getUTCDate() - 1)],
  ['getDayOfWeek', part('getDayOfWeek', (date) => date.getUTCDay())],
  ['getDayOfYear', part('getDayOfYear', dayOfYear)],
  ['getHours', part('getHours', (date) => date.getUTCHours(), 3_600_000_000_000n)],
  ['getMinutes', part('getMinutes', (date) => date.getUTCMinutes(), 60_000_000_000n)],
  ['getSeconds', part('getSeconds', (date) => date.getUTCSeconds(), 1_000_000_000n)],
  ['getMilliseconds', milliseconds],
])
