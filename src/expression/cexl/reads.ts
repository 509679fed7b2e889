// Closures that read a bag: attributes with the type that the vocabulary declares, and entries of maps.

import type { AttributeBag } from '../../kernel/attribute-bag.ts'
import type { ReadLog } from '../../kernel/read-log.ts'
import { Duration, Timestamp } from '../../kernel/time.ts'
import { type AttributeValue, isStringMap, type StringMap, type ValueType } from '../../kernel/value.ts'
import { ambiguousEntries, ambiguousValue } from '../ambiguous-reads.ts'
import { EvaluationError, unknownRead } from '../compiled.ts'
import type { Evaluate, EvaluateOptional } from '../evaluate.ts'
import { goText } from '../functions/bytes.ts'

/** What a read gives where the attribute is absent: an error, or nothing under `|`. */
export type Absent = 'error' | 'nothing'

function missing(name: string, part = name): EvaluationError {
  return new EvaluationError(`lookup failed: '${name}'`, 'absent', part)
}

type Convert = (value: AttributeValue) => AttributeValue | EvaluationError

function refuse(type: string, value: AttributeValue): EvaluationError {
  return new EvaluationError(`error converting value to ${type}: '${goText(value)}'`)
}

const toText: Convert = (value) => (typeof value === 'string' ? value : refuse('string', value))

/** A bag may hold a value of another type than declared; integers and durations stand in for each other, as in Mixer. */
const CONVERSIONS: Readonly<Record<ValueType, Convert>> = {
  STRING: toText,
  EMAIL_ADDRESS: toText,
  URI: toText,
  DNS_NAME: toText,
  BOOL: (value) => (typeof value === 'boolean' ? value : refuse('bool', value)),
  DOUBLE: (value) => (typeof value === 'number' ? value : refuse('double', value)),
  INT64(value) {
    if (typeof value === 'bigint') return value
    return value instanceof Duration ? value.nanos : refuse('integer or duration', value)
  },
  DURATION(value) {
    if (value instanceof Duration) return value
    return typeof value === 'bigint' ? new Duration(value) : refuse('integer or duration', value)
  },
  TIMESTAMP: (value) => (value instanceof Timestamp ? value : refuse('timestamp', value)),
  IP_ADDRESS: (value) => (value instanceof Uint8Array ? value : refuse('IP address', value)),
  STRING_MAP: (value) => (typeof value === 'object' && isStringMap(value) ? value : refuse('string map', value)),
}

/** Reads a map attribute with all of its entries. */
function readWhole(name: string, none: EvaluationError | undefined): EvaluateOptional {
  const convert = CONVERSIONS.STRING_MAP
  return (bag, log) => {
    const value = bag.get(name)
    if (log !== undefined) log.wholeMap(name, value)
    if (value === undefined) return unknownRead(bag, name) ?? none
    const map = convert(value)
    if (map instanceof EvaluationError) return map.at(name)
    return ambiguousEntries(map as StringMap, name) ?? map
  }
}

/** Reads an attribute as a value. */
export function readAttribute(name: string, type: ValueType, absent: 'error'): Evaluate
export function readAttribute(name: string, type: ValueType, absent: Absent): EvaluateOptional
export function readAttribute(name: string, type: ValueType, absent: Absent): EvaluateOptional {
  const convert = CONVERSIONS[type]
  const none = absent === 'error' ? missing(name) : undefined
  if (type === 'STRING_MAP') return readWhole(name, none)
  return (bag, log) => {
    const value = bag.get(name)
    if (log !== undefined) log.attribute(name, value)
    return value === undefined ? (unknownRead(bag, name) ?? none) : located(convert(value), name)
  }
}

/** The value; of a failure, that it was reading this attribute. */
function located(value: AttributeValue | EvaluationError, name: string): AttributeValue | EvaluationError {
  return value instanceof EvaluationError ? value.at(name) : value
}

const NO_MAP = new EvaluationError('member lookup failed')

/** Reads one constant key of a map attribute. An absent key is the empty string, or nothing under `|`. */
export function readMapEntry(name: string, key: string, absent: 'error'): Evaluate
export function readMapEntry(name: string, key: string, absent: Absent): EvaluateOptional
export function readMapEntry(name: string, key: string, absent: Absent): EvaluateOptional {
  const part = `${name}[${JSON.stringify(key)}]`
  const noMap = absent === 'error' ? missing(name, part) : undefined
  const noEntries = NO_MAP.at(name)
  const noKey = absent === 'error' ? '' : undefined
  return (bag, log) => {
    const map = bag.get(name)
    if (typeof map !== 'object' || !isStringMap(map)) {
      if (log !== undefined) log.attribute(name, map)
      return map === undefined ? (unknownRead(bag, name, part) ?? noMap) : noEntries
    }
    const value = map.get(key)
    if (log !== undefined) log.mapKey(name, key, value)
    return ambiguousValue(map, name, key, part) ?? value ?? noKey
  }
}

/** A map about to be looked into. `name` is `undefined` for one that is not an attribute. */
interface MapRead {
  readonly name: string | undefined
  readonly map: StringMap
}

export type ReadMap = (bag: AttributeBag, log: ReadLog | undefined) => MapRead | EvaluationError | undefined

/** Reads a map attribute to look into it: only its presence is logged. */
export function readMap(name: string, absent: Absent): ReadMap {
  const none = absent === 'error' ? missing(name) : undefined
  const noEntries = NO_MAP.at(name)
  return (bag, log) => {
    const map = bag.get(name)
    if (log !== undefined) log.attribute(name, map)
    if (map === undefined) return unknownRead(bag, name) ?? none
    return typeof map === 'object' && isStringMap(map) ? { name, map } : noEntries
  }
}

/** Looks a computed key up in a map that is computed or not. */
export function lookUp(map: ReadMap, key: EvaluateOptional, absent: Absent): EvaluateOptional {
  const noKey = absent === 'error' ? '' : undefined
  return (bag, log) => {
    const read = map(bag, log)
    if (read === undefined || read instanceof EvaluationError) return read
    const text = key(bag, log)
    if (typeof text !== 'string') return text
    const value = read.map.get(text)
    if (read.name === undefined) return value ?? noKey
    if (log !== undefined) log.mapKey(read.name, text, value)
    return ambiguousValue(read.map, read.name, text, read.name) ?? value ?? noKey
  }
}
