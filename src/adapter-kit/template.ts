// What a template is: the shape of what an adapter receives, as data that config, queues and adapters share. What an
// adapter's code sees of it follows from that data by types.

import { VALUE_TYPES, type AttributeValue, type StringMap, type ValueType } from '../kernel/value.ts'
import type { Duration, Timestamp } from '../kernel/time.ts'
import type { FieldValue, ValueMap } from './instance.ts'

/** What kind of call a template belongs to. */
export const VARIETIES = ['check', 'quota', 'report', 'attributes'] as const
export type Variety = (typeof VARIETIES)[number]

/**
 * The type of a template field: a fixed attribute type, `VALUE` for any type, `VALUE_MAP` for a map of expressions
 * of any type, or a nested message.
 */
export type FieldType = ValueType | 'VALUE' | 'VALUE_MAP' | { readonly message: FieldTypes }
export type FieldTypes = { readonly [field: string]: FieldType }

export interface TemplateDefinition {
  /** Name as in `compiledTemplate`: lower-case letters and digits. */
  readonly name: string
  readonly variety: Variety
  /** Fields in camelCase; the config accepts snake_case too. */
  readonly fields: FieldTypes
  /**
   * What comes out, by field in camelCase: of an attribute generator for `attributeBindings` (`$out.<field in
   * snake_case>`), of a check for header operations (`<action>.output.<field>`).
   */
  readonly output?: Readonly<Record<string, ValueType>>
}

/** Declares a template; it exists to keep names and types, from which an adapter's methods get theirs. */
export function defineTemplate<const T extends TemplateDefinition>(definition: T): T {
  return definition
}

interface ValuesByType extends Record<ValueType, AttributeValue> {
  STRING: string
  INT64: bigint
  DOUBLE: number
  BOOL: boolean
  TIMESTAMP: Timestamp
  IP_ADDRESS: Uint8Array
  EMAIL_ADDRESS: string
  URI: string
  DNS_NAME: string
  DURATION: Duration
  STRING_MAP: StringMap
}

type FilledField<T extends FieldType> = T extends { readonly message: infer F extends FieldTypes }
  ? FilledFields<F>
  : T extends 'VALUE_MAP'
    ? ValueMap
    : T extends ValueType
      ? ValuesByType[T]
      : AttributeValue

/** Only fields that the config sets are present. */
type FilledFields<F extends FieldTypes> = string extends keyof F
  ? Readonly<Record<string, FieldValue>>
  : { readonly [K in keyof F]?: FilledField<F[K]> }

/** An instance of one template, as an adapter receives it. `name` is the fully qualified name. */
export interface InstanceOf<T extends TemplateDefinition> {
  readonly name: string
  readonly template: string
  readonly fields: FilledFields<T['fields']>
}

const NAME = /^[a-z][a-z0-9]{0,62}$/
const FIELD = /^[a-z][A-Za-z0-9]*$/
const FIELD_TYPES: readonly unknown[] = [...VALUE_TYPES, 'VALUE', 'VALUE_MAP']

/** Everything that is wrong with a value as a template, one sentence each; empty where it is one. */
export function templateProblems(value: object): readonly string[] {
  const { name, variety, fields, output } = value as Readonly<Record<string, unknown>>
  const problems: string[] = []
  if (typeof name !== 'string' || !NAME.test(name))
    problems.push('name: must be lower-case letters and digits, beginning with a letter, at most 63')
  if (!VARIETIES.some((known) => known === variety)) problems.push(`variety: must be one of ${VARIETIES.join(', ')}`)
  problems.push(...fieldProblems(fields, 'fields', FIELD_TYPES))
  if (output === undefined) return problems
  if (variety !== 'attributes' && variety !== 'check')
    problems.push(`output: only templates of variety attributes or check put something out`)
  return [...problems, ...fieldProblems(output, 'output', VALUE_TYPES)]
}

function fieldProblems(fields: unknown, path: string, types: readonly unknown[]): readonly string[] {
  if (typeof fields !== 'object' || fields === null) return [`${path}: must be an object of types by name`]
  return Object.entries(fields).flatMap(([name, type]: [string, unknown]) => {
    const place = `${path}.${name}`
    if (!FIELD.test(name)) return [`${place}: a field has a name in camelCase`]
    if (types.includes(type)) return []
    const isMessage = types === FIELD_TYPES && typeof type === 'object' && type !== null && 'message' in type
    if (isMessage) return fieldProblems(type.message, place, types)
    return [`${place}: must be one of ${types.join(', ')}${types === FIELD_TYPES ? ', or { message: {…} }' : ''}`]
  })
}
