// The header by which an HTTP backend says when it may be asked again (RFC 9110, 10.2.3).

const SECONDS = /^\d{1,9}$/
/** Dates of HTTP say GMT; what `Date.parse` reads besides is none. */
const HTTP_DATE = /^[A-Z][a-z]{2,8},? .*\d\d:\d\d:\d\d (?:GMT|\d{4})$/

/**
 * Milliseconds from `now` (since the epoch) until the backend may be asked again, at least 0; `undefined` where the headers
 * say nothing that can be read.
 */
export function retryAfterMs(headers: Headers, now: number): number | undefined {
  const text = headers.get('retry-after')?.trim() ?? ''
  if (SECONDS.test(text)) return Number(text) * 1000
  const at = HTTP_DATE.test(text) ? Date.parse(text.endsWith('GMT') ? text : `${text} GMT`) : Number.NaN
  return Number.isNaN(at) ? undefined : Math.max(0, at - now)
}
