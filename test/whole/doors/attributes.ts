// A request as attributes, as a program or a Mixer client would describe it that hands on what it was sent.
import { type Message, textOf, valuesOf } from './message.ts'

export interface Described {
  readonly scalars: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, string>> | undefined
}

/** Once in a message, and no lists (RFC 9110); of those that the requests here have. */
const SINGLETONS = ['host', 'authorization', 'user-agent', 'content-type', 'referer']

/** `undefined` where the request cannot be described in one way: it is no UTF-8, or names twice what it may name once. */
export function describe(message: Message): Described | undefined {
  const target = textOf(message.target)
  if (target === undefined || SINGLETONS.some((name) => valuesOf(message, name).length > 1)) return undefined
  const headers: Record<string, string> = {}
  for (const name of new Set(message.headers.map(([written]) => written.toLowerCase()))) {
    const value = textOf(valuesOf(message, name).join(name === 'cookie' ? '; ' : ','))
    if (value === undefined) return undefined
    headers[name] = value
  }
  const { host } = headers
  const mark = target.indexOf('?')
  const query = mark < 0 ? undefined : queryOf(target.slice(mark + 1))
  return {
    scalars: {
      'request.path': target,
      'request.url_path': mark < 0 ? target : target.slice(0, mark),
      'request.method': message.method,
      'request.scheme': 'http',
      ...(host === undefined ? {} : { 'request.host': host }),
    },
    headers: { ...headers, ...(host === undefined ? {} : { ':authority': host }), ':path': target },
    query,
  }
}

/** Of a repeated name the first value, undecoded, as Envoy's Mixer filter read it. */
function queryOf(query: string): Record<string, string> | undefined {
  const params = new Map<string, string>()
  for (const part of query.split('&')) {
    const at = part.indexOf('=')
    const name = at < 0 ? part : part.slice(0, at)
    if (!params.has(name)) params.set(name, at < 0 ? '' : part.slice(at + 1))
  }
  return query === '' ? undefined : Object.fromEntries(params)
}
