// What of a request may be kept and shown: secrets are replaced. The same secret has the same placeholder as long as the
// process lives, so that what hangs on two requests having the same one stays true; the key is never told, so that nobody can
// find a secret out by guessing.

import { createHmac, randomBytes } from 'node:crypto'
import { type AttributeValue, isStringMap } from '../kernel/value.ts'

/** How keys of string maps, headers and query parameters among them, end or read whose values are secrets. */
const SECRET_ENDS =
  /(?:authorization|cookie|token|secret|passw(?:or)?d|passphrase|signature|credentials?|session|session[-_]?id|assertion|jwt|(?:api|access)[-_]?key)$/i
const SECRET_KEYS: ReadonlySet<string> = new Set(['auth', 'key', 'pass', 'pwd', 'sid', 'sig'])

function isSecret(key: string): boolean {
  return SECRET_ENDS.test(key) || SECRET_KEYS.has(key.toLowerCase())
}

/** Attributes that are secrets, or hold some, as a whole. */
const SECRET_ATTRIBUTES: ReadonlySet<string> = new Set(['request.api_key', 'request.auth.raw_claims'])

const HASH_DIGITS = 8
/** A name in a query. None holds what a name begins behind, so that a text is gone through once, whatever it is. */
const QUERY_NAME = /(?<=[?&;#])([^=?&;#]+)=/g
const QUERY_END = /[&;#]/
/** Secrets of one query; what comes behind them is left out. */
const MAX_SECRETS = 50

/** Masks with a key of its own. */
export class Masking {
  readonly #key = randomBytes(32)

  /** The value as it may be kept; the same object where it holds no secret. */
  mask(name: string, value: AttributeValue): AttributeValue {
    if (SECRET_ATTRIBUTES.has(name)) return typeof value === 'string' ? this.#placeholder(value) : ''
    if (typeof value === 'string') return value.includes('?') ? this.#maskQuery(value) : value
    return typeof value === 'object' && isStringMap(value) ? this.#maskMap(value.entries()) : value
  }

  #maskMap(entries: Iterable<[string, string]>): ReadonlyMap<string, string> {
    const masked = new Map<string, string>()
    for (const [key, value] of entries) {
      // Of a pseudo header such as `:path`, the query, too.
      masked.set(key, isSecret(key) ? this.#placeholder(value) : this.#maskQuery(value))
    }
    return masked
  }

  #maskQuery(text: string): string {
    if (!text.includes('=')) return text
    let masked = ''
    let from = 0
    let count = 0
    for (const { 0: name, 1: key = '', index } of text.matchAll(QUERY_NAME)) {
      // Within the value of a secret.
      if (index < from || !isSecret(key)) continue
      if (++count > MAX_SECRETS) return `${masked}…`
      const at = index + name.length
      const length = text.slice(at).search(QUERY_END)
      const end = length < 0 ? text.length : at + length
      masked += text.slice(from, at) + this.#placeholder(text.slice(at, end))
      from = end
    }
    return from === 0 ? text : masked + text.slice(from)
  }

  #placeholder(secret: string): string {
    const hash = createHmac('sha256', this.#key).update(secret).digest('hex')
    return `secret-${hash.slice(0, HASH_DIGITS)}`
  }
}
