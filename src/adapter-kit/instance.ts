// Instances as adapters receive them: the template's fields, filled for one request.

import type { AttributeValue } from '../kernel/value.ts'

/** Values of a map of expressions, by key, in the order of the config. */
export type ValueMap = Readonly<Record<string, AttributeValue>>

/**
 * A filled field: a value, a map of values, or a nested message. Only fields that the config sets are present.
 */
export type FieldValue = AttributeValue | ValueMap | { readonly [field: string]: FieldValue }

/** One instance: `name` is the fully qualified name (`requestcount.instance.istio-system`). */
export interface Instance {
  readonly name: string
  readonly template: string
  readonly fields: Readonly<Record<string, FieldValue>>
}
