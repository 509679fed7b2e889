// Reading JSON bodies: whatever the content type says, and with the place where the text stops being JSON.

import { isUtf8 } from 'node:buffer'
import { IntermixError } from '../kernel/errors.ts'
import { RefusedRequest } from '../kernel/refused-request.ts'
import { refuseRepeatedNames } from './json-names.ts'

/**
 * Parses a body.
 * @param uniqueNames refuses objects that have a name twice
 * @throws IntermixError INVALID_REQUEST that names line and column; RefusedRequest `ill-formed` for text that is not UTF-8
 * or, by its escapes, not Unicode: halves of surrogate pairs, which programs read in several ways; and `repeated`.
 */
export function parseJsonBody(body: Buffer, { uniqueNames }: { readonly uniqueNames: boolean }): unknown {
  if (!isUtf8(body)) throw new RefusedRequest('ill-formed', 'the body is not UTF-8')
  const text = body.toString('utf8')
  const json = parse(text)
  if (SURROGATE.test(text)) refuseSurrogates(json)
  if (uniqueNames) refuseRepeatedNames(text, json)
  return json
}

/** The escape of a half of a pair; whole pairs have it too. */
const SURROGATE = /\\u[dD][89a-fA-F]/

function refuseSurrogates(json: unknown): void {
  const rest: { readonly value: unknown; readonly path: string }[] = [{ value: json, path: '' }]
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const { value, path } = next
    if (typeof value === 'string' && !value.isWellFormed()) throw illFormed(path)
    if (typeof value !== 'object' || value === null) continue
    for (const [key, item] of Object.entries(value)) {
      const place = path === '' ? key : `${path}.${key}`
      if (!key.isWellFormed()) throw illFormed(place)
      rest.push({ value: item, path: place.slice(0, 200) })
    }
  }
}

function illFormed(path: string): RefusedRequest {
  const place = path === '' ? 'the body' : path.slice(0, 200).toWellFormed()
  return new RefusedRequest('ill-formed', `${place} holds half of a surrogate pair, which is no character`)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    if (text.trim() === '') throw new IntermixError('INVALID_REQUEST', 'the body is empty and must be JSON')
    const { offset, wanted } = firstMistake(text)
    const before = text.slice(0, offset)
    const line = before.split('\n').length
    const column = offset - before.lastIndexOf('\n')
    const found = offset >= text.length ? 'the end' : JSON.stringify(text[offset])
    throw new IntermixError(
      'INVALID_REQUEST',
      `malformed JSON at line ${line}, column ${column}: ${wanted}, not ${found}`,
    )
  }
}

interface Mistake {
  readonly offset: number
  readonly wanted: string
}

const SPACE = /[ \t\n\r]*/y
// oxlint-disable-next-line no-control-regex -- JSON forbids raw control characters in strings
const STRING = /"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const SCALAR = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y

/** Walks the text as a parser would, with a stack of its own so that depth costs no call stack. */
function firstMistake(text: string): Mistake {
  const stack: string[] = []
  let at = 0
  const eat = (pattern: RegExp): boolean => {
    pattern.lastIndex = at
    const length = pattern.exec(text)?.[0].length
    if (length === undefined) return false
    at += length
    return true
  }
  const key = (): Mistake | undefined => {
    eat(SPACE)
    if (!eat(STRING)) return { offset: at, wanted: 'expected a property name in double quotes' }
    eat(SPACE)
    if (text[at] !== ':') return { offset: at, wanted: 'expected ":"' }
    at += 1
    return undefined
  }
  for (;;) {
    eat(SPACE)
    const open = text[at]
    if (open === '{' || open === '[') {
      at += 1
      eat(SPACE)
      if (text[at] !== closing(open)) {
        stack.push(open)
        const mistake = open === '{' ? key() : undefined
        if (mistake !== undefined) return mistake
        continue
      }
      at += 1
    } else if (!eat(STRING) && !eat(SCALAR)) return { offset: at, wanted: 'expected a value' }
    for (;;) {
      eat(SPACE)
      const within = stack.at(-1)
      if (within === undefined) return { offset: at, wanted: 'expected the end' }
      if (text[at] === ',') break
      if (text[at] !== closing(within)) return { offset: at, wanted: `expected "," or "${closing(within)}"` }
      at += 1
      stack.pop()
    }
    at += 1
    const mistake = stack.at(-1) === '{' ? key() : undefined
    if (mistake !== undefined) return mistake
  }
}

function closing(open: string): string {
  return open === '{' ? '}' : ']'
}
