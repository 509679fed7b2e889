// Values of CEL at run time, and how attribute values become CEL values and back.

import type { ReadLog } from '../../kernel/read-log.ts'
import { Duration, Timestamp } from '../../kernel/time.ts'
import { type AttributeValue, isStringMap, type StringMap, type ValueType } from '../../kernel/value.ts'
import { ambiguousEntries } from '../ambiguous-reads.ts'
import { EvaluationError } from '../compiled.ts'
import { goText } from '../functions/bytes.ts'
import { EXHAUSTED, spend } from '../steps.ts'

/** Attribute types that CEL knows only by Mixer's functions. */
export type WrappedType = 'IP_ADDRESS' | 'EMAIL_ADDRESS' | 'URI' | 'DNS_NAME'

/** A value of one of Mixer's own types. */
export class Wrapped {
  readonly type: WrappedType
  readonly value: string | Uint8Array

  constructor(type: WrappedType, value: string | Uint8Array) {
    this.type = type
    this.value = value
  }
}

/** A map attribute, of which only what is looked up counts as read until `readWhole` is asked for all of it. */
export class AttributeMap {
  readonly name: string
  /** `undefined` where the attribute is absent; it then reads as an empty map. */
  readonly map: StringMap | undefined

  constructor(name: string, map: StringMap | undefined) {
    this.name = name
    this.map = map
  }
}

/** The value; a map attribute with all of its entries, which the log hears. */
export function readWhole(value: CelValue, log: ReadLog | undefined): CelResult {
  if (!(value instanceof AttributeMap)) return value
  const { name, map } = value
  if (log !== undefined) log.wholeMap(name, map)
  if (map === undefined) return new Map()
  if (!spend(map.size)) return EXHAUSTED
  return ambiguousEntries(map, name) ?? new Map(map.entries())
}

export class Uint {
  readonly value: bigint

  constructor(value: bigint) {
    this.value = value
  }
}

/** A type as a value, as `type(x)` gives it. */
export class TypeValue {
  readonly name: string

  constructor(name: string) {
    this.name = name
  }
}

/** A part of attribute names that has attributes below it, such as `request`. */
export class Namespace {
  readonly name: string

  constructor(name: string) {
    this.name = name
  }
}

type MapKey = string | bigint | boolean

export type CelMap = ReadonlyMap<MapKey, CelValue>

export type CelValue =
  | string
  | bigint
  | number
  | boolean
  | null
  | Uint
  | Uint8Array
  | Timestamp
  | Duration
  | Wrapped
  | AttributeMap
  | TypeValue
  | Namespace
  | CelMap
  | readonly CelValue[]

export type CelResult = CelValue | EvaluationError

/** A key as maps hold it: numbers that are equal are one key. `undefined` where the value cannot be a key. */
export function mapKey(value: CelValue): MapKey | undefined {
  if (typeof value === 'string' || typeof value === 'bigint' || typeof value === 'boolean') return value
  if (value instanceof Uint) return value.value
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : undefined
}

/** Names of types as CEL writes them. */
export const CEL_TYPES: Readonly<Record<ValueType, string>> = {
  STRING: 'string',
  INT64: 'int',
  DOUBLE: 'double',
  BOOL: 'bool',
  TIMESTAMP: 'google.protobuf.Timestamp',
  DURATION: 'google.protobuf.Duration',
  STRING_MAP: 'map<string, string>',
  IP_ADDRESS: 'istio.policy.v1beta1.IPAddress',
  EMAIL_ADDRESS: 'istio.policy.v1beta1.EmailAddress',
  URI: 'istio.policy.v1beta1.Uri',
  DNS_NAME: 'istio.policy.v1beta1.DNSName',
}

/** What an absent attribute reads as. Maps are not here: they remember their name. */
export const ZERO_VALUES: Readonly<Record<Exclude<ValueType, 'STRING_MAP'>, CelValue>> = {
  STRING: '',
  INT64: 0n,
  DOUBLE: 0,
  BOOL: false,
  TIMESTAMP: new Timestamp(0n),
  DURATION: new Duration(0n),
  IP_ADDRESS: new Wrapped('IP_ADDRESS', new Uint8Array()),
  EMAIL_ADDRESS: new Wrapped('EMAIL_ADDRESS', ''),
  URI: new Wrapped('URI', ''),
  DNS_NAME: new Wrapped('DNS_NAME', ''),
}

type Convert = (value: AttributeValue) => CelResult

function expecting(type: ValueType, fits: (value: AttributeValue) => CelValue | undefined): Convert {
  return (value) => fits(value) ?? new EvaluationError(`cannot convert value ${goText(value)} of type "${type}"`)
}

const wrap = (type: WrappedType) => {
  return expecting(type, (value) => (typeof value === 'string' ? new Wrapped(type, value) : undefined))
}

/** Attribute values as CEL values; a bag may hold a value of another type than declared. */
export const FROM_ATTRIBUTE: Readonly<Record<Exclude<ValueType, 'STRING_MAP'>, Convert>> = {
  STRING: expecting('STRING', (value) => (typeof value === 'string' ? value : undefined)),
  INT64: expecting('INT64', (value) => (typeof value === 'bigint' ? value : undefined)),
  DOUBLE: expecting('DOUBLE', (value) => (typeof value === 'number' ? value : undefined)),
  BOOL: expecting('BOOL', (value) => (typeof value === 'boolean' ? value : undefined)),
  TIMESTAMP: expecting('TIMESTAMP', (value) => (value instanceof Timestamp ? value : undefined)),
  DURATION: expecting('DURATION', (value) => (value instanceof Duration ? value : undefined)),
  IP_ADDRESS: expecting('IP_ADDRESS', (value) => {
    return value instanceof Uint8Array ? new Wrapped('IP_ADDRESS', value) : undefined
  }),
  EMAIL_ADDRESS: wrap('EMAIL_ADDRESS'),
  URI: wrap('URI'),
  DNS_NAME: wrap('DNS_NAME'),
}

/** A map attribute as a CEL value. */
export function attributeMap(name: string, value: AttributeValue | undefined): AttributeMap | EvaluationError {
  if (value === undefined) return new AttributeMap(name, undefined)
  if (typeof value === 'object' && isStringMap(value)) return new AttributeMap(name, value)
  return new EvaluationError(`cannot convert value ${goText(value)} of type "STRING_MAP"`, 'failed', name)
}

/** The value of a whole expression as an attribute value of the type. Attribute maps are handled by the caller. */
export function toAttribute(value: CelValue, type: ValueType): AttributeValue | EvaluationError {
  return RECOVER[type](value) ?? new EvaluationError(`failed to recover ${type} of type ${typeName(value)}`)
}

type Recover = (value: CelValue) => AttributeValue | EvaluationError | undefined

const unwrap = (type: WrappedType): Recover => {
  return (value) => (value instanceof Wrapped && value.type === type ? value.value : undefined)
}

const RECOVER: Readonly<Record<ValueType, Recover>> = {
  STRING(value) {
    if (typeof value === 'string') return value
    return value instanceof TypeValue ? value.name : undefined
  },
  INT64(value) {
    if (typeof value === 'bigint') return value
    return value instanceof Uint ? BigInt.asIntN(64, value.value) : undefined
  },
  DOUBLE: (value) => (typeof value === 'number' ? value : undefined),
  BOOL: (value) => (typeof value === 'boolean' ? value : undefined),
  TIMESTAMP: (value) => (value instanceof Timestamp ? value : undefined),
  DURATION: (value) => (value instanceof Duration ? value : undefined),
  STRING_MAP: (value) => (value instanceof Map ? stringMap(value) : undefined),
  IP_ADDRESS: unwrap('IP_ADDRESS'),
  EMAIL_ADDRESS: unwrap('EMAIL_ADDRESS'),
  URI: unwrap('URI'),
  DNS_NAME: unwrap('DNS_NAME'),
}

function stringMap(map: CelMap): AttributeValue | EvaluationError {
  const entries = new Map<string, string>()
  for (const [key, value] of map) {
    if (typeof key !== 'string' || typeof value !== 'string') {
      return new EvaluationError('a map must have strings as keys and values')
    }
    entries.set(key, value)
  }
  return entries
}

/** The name of a value's type, as `type(x)` gives it and messages show it. */
export function typeName(value: CelValue): string {
  switch (typeof value) {
    case 'string':
      return 'string'
    case 'bigint':
      return 'int'
    case 'number':
      return 'double'
    case 'boolean':
      return 'bool'
    default:
      return objectTypeName(value)
  }
}

function objectTypeName(value: CelValue): string {
  if (value === null) return 'null_type'
  if (value instanceof Uint) return 'uint'
  if (value instanceof Uint8Array) return 'bytes'
  if (value instanceof Timestamp) return 'google.protobuf.Timestamp'
  if (value instanceof Duration) return 'google.protobuf.Duration'
  if (value instanceof Wrapped) return CEL_TYPES[value.type]
  if (value instanceof TypeValue) return 'type'
  if (value instanceof Namespace) return `.${value.name}`
  return Array.isArray(value) ? 'list' : 'map'
}
