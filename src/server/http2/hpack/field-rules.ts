// What names and values may hold in HTTP/2 (RFC 9113, section 8.2.1). A field is judged when it is read as a literal; the tables
// remember it, since most fields come again by index.

/** Tokens in lower case, which may begin with a colon. */
const NAME = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/
/** Octets that no value may hold, and white space around it. */
const FORBIDDEN = /[\0\r\n]|^[ \t]|[ \t]$/

export function isMalformed(name: string, value: string): boolean {
  return FORBIDDEN.test(value) || !NAME.test(name)
}
