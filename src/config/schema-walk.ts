// Looking into zod schemas: which fields an object has, behind defaults, options and unions.

import type { z } from 'zod'
import type { ConfigNode } from './config-node.ts'
import { camelCase } from './fields.ts'

type Schema = z.core.$ZodType

interface Wrapper {
  readonly innerType?: Schema
  readonly getter?: () => Schema
  readonly in?: Schema
  readonly out?: Schema
}

const MAX_WRAPPERS = 20

/** The schema behind optional, default, readonly, lazy, pipe and the like. */
export function unwrap(schema: Schema): Schema {
  let current = schema
  for (let i = 0; i < MAX_WRAPPERS; i++) {
    const def = current._zod.def as z.core.$ZodTypeDef & Wrapper
    if (def.innerType !== undefined) current = def.innerType
    else if (def.type === 'lazy' && def.getter !== undefined) current = def.getter()
    else if (def.in !== undefined && def.out !== undefined) {
      current = def.in._zod.def.type === 'transform' ? def.out : def.in
    } else break
  }
  return current
}

/** The fields of an object schema (both sides of an intersection), and the schema of all other keys where allowed. */
export function objectShape(
  schema: Schema,
): { readonly fields: ReadonlyMap<string, Schema>; readonly rest: Schema | undefined } | undefined {
  const { def } = schema._zod
  if (def.type === 'intersection') {
    const { left, right } = def as z.core.$ZodIntersectionDef
    const [a, b] = [objectShape(unwrap(left)), objectShape(unwrap(right))]
    return a && b && { fields: new Map([...a.fields, ...b.fields]), rest: a.rest ?? b.rest }
  }
  if (def.type !== 'object') return undefined
  const { shape, catchall } = def as z.core.$ZodObjectDef
  const open = catchall !== undefined && catchall._zod.def.type !== 'never'
  return { fields: new Map(Object.entries(shape)), rest: open ? catchall : undefined }
}

/** Of a union, the option that a node was most likely meant as; other schemas as they are. */
export function optionFor(schema: Schema, node: ConfigNode): Schema {
  const { def } = schema._zod
  if (def.type !== 'union') return schema
  let best: Schema | undefined
  let bestScore = -1
  for (const option of (def as z.core.$ZodUnionDef).options) {
    const candidate = optionFor(unwrap(option), node)
    const score = likeness(candidate, node)
    if (score > bestScore) {
      best = candidate
      bestScore = score
    }
  }
  return best ?? schema
}

/** How well a schema fits the form of a node: matching literals count most, then known keys. */
function likeness(schema: Schema, node: ConfigNode): number {
  const { type } = schema._zod.def
  if (node.kind === 'list') return type === 'array' || type === 'tuple' || type === 'set' ? 1 : 0
  if (node.kind !== 'map') return 0
  if (type === 'record') return 1
  const shape = objectShape(schema)
  if (shape === undefined) return 0
  let score = 1
  for (const { key, value } of node.entries) {
    const field = shape.fields.get(key) ?? shape.fields.get(camelCase(key))
    if (field === undefined) continue
    const def = unwrap(field)._zod.def
    const literal = def.type === 'literal' && value.kind === 'scalar'
    if (!literal) score += 1
    else score += (def as z.core.$ZodLiteralDef<z.core.util.Literal>).values.some((v) => v === value.value) ? 100 : 0
  }
  return score
}
