// SHA-256 over structured values: equal content gives the same digest on every node.

import { createHash } from 'node:crypto'

/** SHA-256 (hex) of a value's canonical text. Map keys keep their order, since the order of reads follows it. */
export function digestOf(value: unknown): string {
  return createHash('sha256').update(canonical(value)).digest('hex')
}

/**
 * One text per value: like JSON, with the types that JSON lacks told apart. Functions count by their source, objects
 * of a class by the class's name and what they hold.
 */
function canonical(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return `function:${JSON.stringify(String(value))}`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'undefined'
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (value instanceof RegExp) return `regexp:${JSON.stringify(String(value))}`
  if (value instanceof Date) return `date:${value.getTime()}`
  if (value instanceof Uint8Array) return `bytes:${Buffer.from(value).toString('hex')}`
  if (value instanceof Map || value instanceof Set) return `${value.constructor.name}${canonical([...value])}`
  const entries = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`)
  const name = Object.getPrototypeOf(value)?.constructor?.name
  return `${name === undefined || name === 'Object' ? '' : String(name)}{${entries.join(',')}}`
}
