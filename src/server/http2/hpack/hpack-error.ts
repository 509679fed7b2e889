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
