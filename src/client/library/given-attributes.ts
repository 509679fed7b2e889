// Attributes as a program has them, as the bag that checks are about: values are read when they are asked for.

import type { AttributeBag, Vocabulary } from '../../kernel/attribute-bag.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { Duration, Timestamp } from '../../kernel/time.ts'
import { type AttributeValue, isOfType, type ValueType } from '../../kernel/value.ts'
import { readAttributeText, TEXT_FORMS } from '../../wire/attribute-text.ts'
import { HEADER_MAPS } from '../../wire/request-headers.ts'
import { GivenMap, type GivenTexts } from './given-map.ts'

/** A value as programs have it: addresses and durations may be text, times a `Date`, whole numbers a `number`. */
export type GivenValue = string | number | bigint | boolean | Date | Uint8Array | Timestamp | Duration | GivenTexts

/** Attributes by name. What is `undefined` or `null` is not there. */
export interface Attributes {
  readonly [name: string]: GivenValue | undefined | null
}

const NOTHING: Attributes = Object.freeze({})

/**
 * Reads attributes by the types of a vocabulary. One that the vocabulary lacks has the type that its value looks like: no
 * rule reads it.
 *
 * `get` throws INVALID_ATTRIBUTE for a value that is not of its type.
 */
export class GivenBag implements AttributeBag {
  #attributes: Attributes
  readonly #vocabulary: Vocabulary
  /** Maps that were asked for: whoever has one of them shall see the copy, too. */
  #headers: GivenMap | undefined
  #maps: Map<string, GivenMap> | undefined
  #isDetached = false

  /** @param attributes what it inherits are none */
  constructor(attributes: Attributes, vocabulary: Vocabulary) {
    const parent: unknown = Object.getPrototypeOf(attributes)
    this.#attributes = parent === Object.prototype || parent === null ? attributes : { ...attributes }
    this.#vocabulary = vocabulary
  }

  get(name: string): AttributeValue | undefined {
    const value = this.#attributes[name]
    if (typeof value === 'string') return this.#text(name, value)
    if (value === undefined || value === null || !Object.hasOwn(this.#attributes, name)) return undefined
    const known = name === 'request.headers' ? this.#headers : this.#maps?.get(name)
    return known ?? this.#other(name, value)
  }

  *names(): Generator<string> {
    for (const name of Object.keys(this.#attributes)) if (this.get(name) !== undefined) yield name
  }

  /**
   * Copies what was given, once: from now on the caller may change it.
   * @throws IntermixError INVALID_ATTRIBUTE for any value that is not of its type, or text that is not Unicode; nothing is
   *   left then
   */
  detach(): void {
    if (this.#isDetached) return
    this.#isDetached = true
    const copy: Record<string, GivenValue> = Object.create(null) as Record<string, GivenValue>
    try {
      for (const name of this.names()) copy[name] = ownCopy(name, this.get(name) as AttributeValue)
      this.#attributes = copy
    } catch (caught) {
      this.#attributes = NOTHING
      throw caught
    }
  }

  #text(name: string, text: string): AttributeValue | undefined {
    const type = this.#vocabulary.get(name)
    switch (type) {
      case undefined:
      case 'STRING':
      case 'URI':
      case 'DNS_NAME':
      case 'EMAIL_ADDRESS':
        return text
      case 'BOOL':
      case 'STRING_MAP':
        throw wrongType(name, type)
      default: {
        const read = readAttributeText(type, text)
        if (read === undefined) throw wrongType(name, type)
        return read
      }
    }
  }

  #other(name: string, value: Exclude<GivenValue, string>): AttributeValue {
    const type = this.#vocabulary.get(name)
    const read = valueOf(name, value, type)
    if (read === undefined || (type !== undefined && !isOfType(read, type))) throw wrongType(name, type)
    if (!(read instanceof GivenMap)) return read
    if (name === 'request.headers') this.#headers = read
    else (this.#maps ??= new Map()).set(name, read)
    return read
  }
}

function valueOf(name: string, value: Exclude<GivenValue, string>, type: ValueType | undefined) {
  switch (typeof value) {
    case 'bigint':
      return BigInt.asIntN(64, value) === value ? value : undefined
    case 'boolean':
      return value
    case 'number':
      if (type === 'DOUBLE') return value
      if (Number.isSafeInteger(value)) return BigInt(value)
      return type === undefined ? value : undefined
    case 'object':
      if (value instanceof GivenMap) return value
      if (value instanceof Uint8Array) return value.length === 4 || value.length === 16 ? value : undefined
      if (value instanceof Timestamp || value instanceof Duration) return value
      if (value instanceof Date)
        return Number.isNaN(value.getTime()) ? undefined : Timestamp.fromMillis(value.getTime())
      return HEADER_MAPS.has(name) ? GivenMap.ofHeaders(value) : GivenMap.of(value)
    default:
      return undefined
  }
}

function ownCopy(name: string, value: AttributeValue): GivenValue {
  if (typeof value === 'string') return wellFormed(name, value)
  if (value instanceof Uint8Array) return Uint8Array.from(value)
  if (value instanceof GivenMap) {
    value.detach()
    for (const [key, text] of value.entries()) wellFormed(name, key + text)
  }
  return value
}

function wellFormed(name: string, text: string): string {
  if (text.isWellFormed()) return text
  throw new IntermixError(
    'INVALID_ATTRIBUTE',
    `the attribute ${name} holds half a surrogate pair, which is no character`,
  )
}

function wrongType(name: string, type: ValueType | undefined): IntermixError {
  const form =
    type === undefined
      ? 'text, a number, true or false, a Date, the bytes of an address, or a map of text'
      : TEXT_FORMS[type]
  return new IntermixError('INVALID_ATTRIBUTE', `the attribute ${name} must be ${form}`)
}

/** What the caller may change later, as it is now. */
export function copyOf(attributes: Attributes): Attributes {
  const copy: Record<string, Attributes[string]> = Object.create(null) as Record<string, Attributes[string]>
  for (const [name, value] of Object.entries(attributes)) copy[name] = copyOfValue(value)
  return copy
}

function copyOfValue(value: Attributes[string]): Attributes[string] {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Timestamp || value instanceof Duration) return value
  if (value instanceof Date) return new Date(value)
  if (value instanceof Uint8Array) return Uint8Array.from(value)
  return typeof value['entries'] === 'function' ? new Map(value.entries()) : { ...value }
}
