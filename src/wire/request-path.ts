// Splitting the path of a request as proxies hand it over: path and query in one string, undecoded.

import type { StringMap } from '../kernel/value.ts'

/** The path without its query and fragment, undecoded. */
export function urlPathOf(path: string): string {
  const end = path.search(/[?#]/)
  return end < 0 ? path : path.slice(0, end)
}

/** The query without its `?`, undecoded; empty where there is none. */
export function queryOf(path: string): string {
  const start = path.indexOf('?')
  if (start < 0) return ''
  const end = path.indexOf('#', start)
  return path.slice(start + 1, end < 0 ? undefined : end)
}

/**
 * Query parameters, decoded as applications decode them, so that a policy cannot be passed by writing `%61` for `a`;
 * of repeated names the first counts. A `%` that begins no escape stays, and bytes that are not UTF-8 become U+FFFD, as the
 * WHATWG URL standard has it: the text is well-formed whatever a client sends.
 * @returns `undefined` where there is no query.
 */
export function queryParamsOf(path: string): StringMap | undefined {
  const query = queryOf(path)
  if (query === '') return undefined
  const params = new Map<string, string>()
  for (const part of query.split('&')) {
    if (part === '') continue
    const at = part.indexOf('=')
    const name = decode(at < 0 ? part : part.slice(0, at))
    if (!params.has(name)) params.set(name, at < 0 ? '' : decode(part.slice(at + 1)))
  }
  return params
}

const ESCAPES = /(?:%[0-9a-f]{2})+/gi

function decode(text: string): string {
  if (!/[%+]/.test(text)) return text
  const spaced = text.replaceAll('+', ' ')
  try {
    return decodeURIComponent(spaced)
  } catch {
    return spaced.replaceAll(ESCAPES, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'))
  }
}
