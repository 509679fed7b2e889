// Closures by which CEL reads a bag. An absent attribute is its type's zero value; an absent map key is an error.

import type { AttributeBag } from '../../kernel/attribute-bag.ts'
import type { ReadLog } from '../../kernel/read-log.ts'
import { isStringMap, type ValueType } from '../../kernel/value.ts'
import { ambiguousKeys, ambiguousPresence, ambiguousValue } from '../ambiguous-reads.ts'
import { EvaluationError, type FailureKind, unknownRead } from '../compiled.ts'
import type { Subject } from '../evaluate.ts'
import { EXHAUSTED, spend } from '../steps.ts'
import {
  AttributeMap,
  attributeMap,
  type CelResult,
  type CelValue,
  FROM_ATTRIBUTE,
  mapKey,
  Namespace,
  typeName,
  ZERO_VALUES,
} from './values.ts'

export type Cel = (bag: AttributeBag, log: ReadLog | undefined) => CelResult

/** Reads an attribute; of a map only the presence is logged, its entries when they are looked up. */
export function readAttribute(name: string, type: ValueType): Cel {
  if (type === 'STRING_MAP') {
    return (bag, log) => {
      const value = bag.get(name)
      if (log !== undefined) log.attribute(name, value)
      return value === undefined ? (unknownRead(bag, name) ?? attributeMap(name, value)) : attributeMap(name, value)
    }
  }
  const convert = FROM_ATTRIBUTE[type]
  const zero = ZERO_VALUES[type]
  return (bag, log) => {
    const value = bag.get(name)
    if (log !== undefined) log.attribute(name, value)
    return value === undefined ? (unknownRead(bag, name) ?? zero) : located(convert(value), name)
  }
}

/** A failure of reading an attribute knows which one it is. */
function located(value: CelResult, part: string): CelResult {
  return value instanceof EvaluationError ? value.at(part) : value
}

/** Whether an attribute is there. */
export function hasAttribute(name: string): Cel {
  return (bag, log) => {
    const value = bag.get(name)
    if (log !== undefined) log.attribute(name, value)
    return value === undefined ? (unknownRead(bag, name) ?? false) : true
  }
}

/** Reads one constant key of a map attribute. */
export function readEntry({ attribute, mapKey: key }: Subject & { mapKey: string }): Cel {
  const part = `${attribute}[${JSON.stringify(key)}]`
  const noKey = noSuchKey(key, 'absent').at(part)
  return (bag, log) => {
    const map = bag.get(attribute)
    if (typeof map !== 'object' || !isStringMap(map)) {
      if (log !== undefined) log.attribute(attribute, map)
      return map === undefined ? (unknownRead(bag, attribute, part) ?? noKey) : attributeMap(attribute, map)
    }
    const value = map.get(key)
    if (log !== undefined) log.mapKey(attribute, key, value)
    return ambiguousValue(map, attribute, key, part) ?? value ?? noKey
  }
}

/** Whether a map attribute has a constant key. */
export function hasEntry({ attribute, mapKey: key }: Subject & { mapKey: string }): Cel {
  const part = `${attribute}[${JSON.stringify(key)}]`
  return (bag, log) => {
    const map = bag.get(attribute)
    if (typeof map !== 'object' || !isStringMap(map)) {
      if (log !== undefined) log.attribute(attribute, map)
      return map === undefined ? (unknownRead(bag, attribute) ?? false) : attributeMap(attribute, map)
    }
    const value = map.get(key)
    if (log !== undefined) log.mapKey(attribute, key, value)
    return ambiguousPresence(map, attribute, key, part) ?? value !== undefined
  }
}

function noSuchKey(key: CelValue, kind: FailureKind): EvaluationError {
  const text = typeof key === 'string' ? `'${key}'` : String(mapKey(key) ?? typeName(key))
  return new EvaluationError(`no such key: ${text}`, kind)
}

/** `collection[key]`. A key that a map attribute lacks is absent; one that a map of the expression lacks is a failure. */
export function index(collection: CelValue, key: CelValue, log: ReadLog | undefined): CelResult {
  if (collection instanceof AttributeMap) {
    if (typeof key !== 'string') return new EvaluationError('index should be a string')
    return lookUp(collection, key, log, ambiguousValue) ?? noSuchKey(key, 'absent')
  }
  const normalised = mapKey(key)
  if (collection instanceof Map) {
    const value = normalised === undefined ? undefined : collection.get(normalised)
    return value === undefined ? noSuchKey(key, 'failed') : value
  }
  if (!Array.isArray(collection)) return new EvaluationError(`${typeName(collection)} does not support indexing`)
  if (typeof normalised !== 'bigint') return new EvaluationError(`invalid index: ${typeName(key)}`)
  const item: CelValue | undefined = collection[Number(normalised)]
  return item === undefined ? new EvaluationError(`index out of bounds: ${normalised}`) : item
}

/** The entry, or that what is asked of it is ambiguous. */
function lookUp(
  { name, map }: AttributeMap,
  key: string,
  log: ReadLog | undefined,
  ambiguity: typeof ambiguousPresence,
): string | EvaluationError | undefined {
  if (map === undefined) return undefined
  const value = map.get(key)
  if (log !== undefined) log.mapKey(name, key, value)
  return ambiguity(map, name, key) ?? value
}

/** `item in collection`; `equals` compares with the items of a list. As with `==`, what cannot be compared is an error. */
export function contains(
  item: CelValue,
  collection: CelValue,
  log: ReadLog | undefined,
  equals: (left: CelValue, right: CelValue, log: ReadLog | undefined) => boolean | EvaluationError,
): CelResult {
  if (collection instanceof AttributeMap) {
    if (typeof item !== 'string') return new EvaluationError('index should be a string')
    const value = lookUp(collection, item, log, ambiguousPresence)
    return value instanceof EvaluationError ? value : value !== undefined
  }
  const key = mapKey(item)
  if (collection instanceof Map) return key !== undefined && collection.has(key)
  if (!Array.isArray(collection))
    return new EvaluationError(`no such overload: ${typeName(item)} in ${typeName(collection)}`)
  let failure: EvaluationError | undefined
  for (const other of collection as readonly CelValue[]) {
    const same = spend(1) ? equals(item, other, log) : EXHAUSTED
    if (same === true || same === EXHAUSTED) return same
    if (same !== false) failure ??= same
  }
  return failure ?? false
}

/** The items that a comprehension goes over: of a list its items, of a map its keys. */
export function itemsOf(collection: CelValue, log: ReadLog | undefined): readonly CelValue[] | EvaluationError {
  if (Array.isArray(collection)) return collection as readonly CelValue[]
  if (collection instanceof Map) return spend(collection.size) ? [...collection.keys()] : EXHAUSTED
  if (!(collection instanceof AttributeMap))
    return new EvaluationError(`${typeName(collection)} cannot be iterated over`)
  const { name, map } = collection
  if (log !== undefined) log.wholeMap(name, map)
  if (map === undefined) return []
  if (!spend(map.size)) return EXHAUSTED
  return ambiguousKeys(map, name) ?? Array.from(map.entries(), ([key]) => key)
}

/** The value of an inner part of attribute names. */
export function namespace(name: string): Cel {
  const value = new Namespace(name)
  return () => value
}
