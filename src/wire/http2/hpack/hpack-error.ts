// What the sides of HPACK tell their connection, and what they are told about fields.

/**
 * A header block that cannot be decoded, or a field that cannot be encoded. A connection whose block could not be decoded has lost
 * its dynamic table and ends with COMPRESSION_ERROR (RFC 9113, section 4.3).
 */
export class HpackError extends Error {
  override readonly name = 'HpackError'
}

/** A header field: name and value, one character an octet (latin1). */
export type Field = readonly [name: string, value: string]

/** What RFC 7541, section 4.1 counts for a field beside its octets. */
export const FIELD_OVERHEAD = 32

/** Tokens in lower case, which may begin with a colon. */
const NAME = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/
/** Octets that no value may hold, and white space around it. */
const FORBIDDEN = /[\0\r\n]|^[ \t]|[ \t]$/

/**
 * Whether a name or a value holds what none may hold in HTTP/2 (RFC 9113, section 8.2.1). A field is judged when it is read as a
 * literal; the tables remember it, since most fields come again by index.
 */
export function isMalformed(name: string, value: string): boolean {
  return FORBIDDEN.test(value) || !NAME.test(name)
}
