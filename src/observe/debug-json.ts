// JSON of whatever a debug view returns: maps, sets, bigints, bytes and errors too, cycles cut, depth bounded.

const MAX_DEPTH = 12

/** Renders a value as indented JSON. Never throws on a value that JSON does not know. */
export function debugJson(value: unknown): string {
  return `${JSON.stringify(plain(value, []) ?? null, undefined, 2)}\n`
}

function plain(value: unknown, above: readonly object[]): unknown {
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value)
  if (typeof value === 'function' || typeof value === 'symbol') return undefined
  if (typeof value !== 'object' || value === null) return value
  if (above.includes(value)) return '(circular)'
  if (above.length >= MAX_DEPTH) return '(deeper)'
  const path = [...above, value]
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (value instanceof Error) return { error: value.name, message: value.message }
  if ('toJSON' in value && typeof value.toJSON === 'function') return plain(value.toJSON(), path)
  if (value instanceof Map) {
    const entries = [...value].map(([key, item]) => [keyText(key), plain(item, path)] as const)
    return Object.fromEntries(entries)
  }
  if (Array.isArray(value) || value instanceof Set) return [...value].map((item) => plain(item, path) ?? null)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item, path)]))
}

function keyText(key: unknown): string {
  return typeof key === 'string' ? key : JSON.stringify(plain(key, []) ?? null)
}
