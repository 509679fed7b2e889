// What of a request may be kept and shown: secrets are replaced. The same secret has the same placeholder as long as the
// process lives, so that what hangs on two requests having the same one stays true; the key is never told, so that nobody can
// find a secret out by guessing.

import { createHmac, randomBytes } from 'node:crypto'
import { type AttributeValue, isStringMap } from '../kernel/value.ts'

/** Keys of string maps, headers and query parameters among them, whose values are secrets. */
const SECRET_KEYS: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'x-api-key',
  'api-key',
  'api_key',
  'apikey',
  'access_token',
  'refresh_token',
  'id_token',
  'token',
  'password',
  'client_secret',
  'signature',
  'x-amz-security-token',
])

/** Attributes that are secrets, or hold some, as a whole. */
const SECRET_ATTRIBUTES: ReadonlySet<string> = new Set(['request.api_key', 'request.auth.raw_claims'])

const HASH_DIGITS = 8
const IN_QUERY = /(?<=[?&;])([^=&;#]+)=([^&;#]*)/g

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
      masked.set(key, SECRET_KEYS.has(key.toLowerCase()) ? this.#placeholder(value) : this.#maskQuery(value))
    }
    return masked
  }

  #maskQuery(text: string): string {
    if (!text.includes('=')) return text
    return text.replace(IN_QUERY, (whole, key: string, value: string) =>
      SECRET_KEYS.has(key.toLowerCase()) ? `${key}=${this.#placeholder(value)}` : whole,
    )
  }

  #placeholder(secret: string): string {
    const hash = createHmac('sha256', this.#key).update(secret).digest('hex')
    return `secret-${hash.slice(0, HASH_DIGITS)}`
  }
}
