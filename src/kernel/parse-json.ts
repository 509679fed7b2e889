// JSON.parse, but for names that V8 reads wrongly.
//
// Where it expects a certain name, since objects alike had it, V8 compares that with the name as it is written: after a name
// `\` the name written `\"` counts as `\` too (nodejs/node#63785; V8 12.8 and later). One caller could so have the names of
// another one misread. What is misread always becomes a name with a backslash, so that a look at the names tells.

import { isJsonObject, type JsonObject } from './json-object.ts'

/** Reads JSON. @throws SyntaxError as `JSON.parse` does */
export function parseJson(text: string): unknown {
  const json: unknown = JSON.parse(text)
  return text.includes('\\') && hasNameWithBackslash(json) ? parseWithPlainNames(text) : json
}

/** An object that a text holds; `undefined` where it holds none, or is no JSON. */
export function parseJsonObject(text: string): JsonObject | undefined {
  try {
    const json = parseJson(text)
    return isJsonObject(json) ? json : undefined
  } catch {
    return undefined
  }
}

function hasNameWithBackslash(json: unknown): boolean {
  const rest: unknown[] = [json]
  for (let value = rest.pop(); value !== undefined; value = rest.pop()) {
    if (typeof value !== 'object' || value === null) continue
    const isList = Array.isArray(value)
    for (const [name, item] of Object.entries(value) as [string, unknown][]) {
      if (!isList && name.includes('\\')) return true
      rest.push(item)
    }
  }
  return false
}

/** A name with its colon, or another string. */
const STRING = /("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)|"[^"\\]*(?:\\.[^"\\]*)*"/gs

/** Has the engine parse names that need no escapes, and gives the objects their own names afterwards. */
function parseWithPlainNames(text: string): unknown {
  const names: string[] = []
  const numbers = new Map<string, number>()
  const plain = text.replace(STRING, (token, name: string | undefined, colon: string) => {
    if (name === undefined) return token
    // A string by itself is read rightly.
    const read = JSON.parse(name) as string
    let number = numbers.get(read)
    if (number === undefined) numbers.set(read, (number = names.push(read) - 1))
    return `"n${number}"${colon}`
  })
  const json: unknown = JSON.parse(plain)
  const rest: unknown[] = [json]
  for (let value = rest.pop(); value !== undefined; value = rest.pop()) {
    if (typeof value !== 'object' || value === null) continue
    for (const item of Object.values(value)) rest.push(item)
    if (!Array.isArray(value)) rename(value as Record<string, unknown>, names)
  }
  return json
}

function rename(object: Record<string, unknown>, names: readonly string[]): void {
  const members = Object.entries(object)
  for (const [plain] of members) delete object[plain]
  for (const [plain, value] of members) {
    // Defined, not set: a member may be called `__proto__`.
    const name = names[Number(plain.slice(1))] ?? plain
    Object.defineProperty(object, name, { value, configurable: true, enumerable: true, writable: true })
  }
}
