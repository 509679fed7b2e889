// Which headers may be there more than once, and how their values are joined.

/**
 * Fields that a message may have once, as they are no lists (RFC 9110 section 5.3; RFC 9111, 6265, 6266, 6454, Fetch).
 * Of two, one program takes the first and the next program the last.
 */
const SINGLETONS: ReadonlySet<string> = new Set([
  'access-control-request-method',
  'age',
  'authorization',
  'content-disposition',
  'content-length',
  'content-location',
  'content-range',
  'content-type',
  'date',
  'etag',
  'expires',
  'from',
  'host',
  'if-modified-since',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'origin',
  'proxy-authorization',
  'range',
  'referer',
  'retry-after',
  'server',
  'user-agent',
])

/** A list by its look whose values must stay apart: they have commas of their own (RFC 6265 section 3). */
const SET_COOKIE = 'set-cookie'

const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/

/** Whether it is the name of a header (RFC 9110 section 5.1) in lower case, and no pseudo header. */
export function isHeaderName(name: string): boolean {
  return NAME.test(name)
}

/** Whether a message may have a header only once. `name` in lower case, here and below. */
export function isSingleton(name: string): boolean {
  return SINGLETONS.has(name)
}

/** Whether several lines of a header mean the same as one line of all values. */
export function isJoinable(name: string): boolean {
  return name !== SET_COOKIE && !SINGLETONS.has(name)
}

/** What stands between values in one line, cookies' apart (RFC 9113 section 8.2.3). */
export function separatorOf(name: string): ',' | '; ' {
  return name === 'cookie' ? '; ' : ','
}

// oxlint-disable-next-line no-control-regex -- control characters are what must not get into a header
const CONTROLS = /[\x00-\x08\x0a-\x1f\x7f]+/g
// oxlint-disable-next-line no-control-regex -- as above
const UNCLEAN = /[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]|^[ \t]|[ \t]$/

/**
 * Text as a header can carry it, whatever a caller put in: line breaks and other control characters become one space each
 * run, halves of surrogate pairs U+FFFD, and there is no white space around it, which no reader would keep.
 */
export function cleanHeaderValue(text: string): string {
  if (!UNCLEAN.test(text)) return text
  return text
    .replaceAll(CONTROLS, ' ')
    .toWellFormed()
    .replace(/^[ \t]+/, '')
    .replace(/[ \t]+$/, '')
}
