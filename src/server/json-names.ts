// Names that come twice in one object of JSON: parsers take the first, the last or all of them (RFC 8259, section 4).

import { parseJson } from '../kernel/parse-json.ts'
import { RefusedRequest } from '../kernel/refused-request.ts'

/**
 * Costs one look at each colon of the text, where no name comes twice.
 * @param text JSON that has been parsed
 * @param json what it was parsed into
 * @throws RefusedRequest `repeated`, with the name
 */
export function refuseRepeatedNames(text: string, json: unknown): void {
  const names = namesIn(json)
  // What counts too many, for a string that looks like a name, is counted again with care.
  if (colonsAfterQuotes(text) === names || namesInText(text) === names) return
  const name = repeatedName(text)
  const message = `the body has the name ${JSON.stringify(name.slice(0, 200).toWellFormed())} twice in one object`
  throw new RefusedRequest('repeated', message)
}

/** At least as many as there are names. */
function colonsAfterQuotes(text: string): number {
  let count = 0
  for (let colon = text.indexOf(':'); colon >= 0; colon = text.indexOf(':', colon + 1)) {
    let before = colon - 1
    while (text.charCodeAt(before) <= 0x20) before--
    if (text.charCodeAt(before) === QUOTE) count++
  }
  return count
}

/** Strings that a colon follows. */
function namesInText(text: string): number {
  let count = 0
  for (let open = text.indexOf('"'); open >= 0; ) {
    let at = endOfString(text, open)
    while (text.charCodeAt(at) <= 0x20) at++
    if (text.charCodeAt(at) === COLON) count++
    open = text.indexOf('"', at)
  }
  return count
}

const QUOTE = 0x22
const COLON = 0x3a
const BACKSLASH = 0x5c

/** The place behind the closing quote. */
function endOfString(text: string, open: number): number {
  for (let close = text.indexOf('"', open + 1); ; close = text.indexOf('"', close + 1)) {
    let escapes = 0
    while (text.charCodeAt(close - 1 - escapes) === BACKSLASH) escapes++
    if (escapes % 2 === 0) return close + 1
  }
}

function namesIn(json: unknown): number {
  let count = 0
  const rest: unknown[] = [json]
  for (let value = rest.pop(); value !== undefined; value = rest.pop()) {
    if (Array.isArray(value)) {
      for (const item of value) if (typeof item === 'object' && item !== null) rest.push(item)
    } else if (typeof value === 'object') {
      for (const name in value) {
        count++
        const item = (value as Record<string, unknown>)[name]
        if (typeof item === 'object' && item !== null) rest.push(item)
      }
    }
  }
  return count
}

function repeatedName(text: string): string {
  const objects: Set<string>[] = []
  for (const [token, name] of text.matchAll(/("(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*"|[{}]/gs)) {
    if (token === '{') objects.push(new Set())
    else if (token === '}') objects.pop()
    else if (name !== undefined) {
      const names = objects.at(-1)
      const written = parseJson(name) as string
      if (names?.has(written)) return written
      names?.add(written)
    }
  }
  return ''
}
