// What a proxy asks about in forward-auth: the original request, and what its operator set, told apart from what the
// client sent.

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Vocabulary } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { StringMap } from '../kernel/value.ts'
import { queryParamsOf, urlPathOf } from '../wire/request-path.ts'

/** Path under which forward-auth is served; what follows it can be the original path. */
export const AUTHZ_PATH = '/v1/authz'
const ATTRIBUTE_PREFIX = 'attr.'

/** A call as it arrived. */
interface ForwardedCall {
  readonly message: IncomingMessage
  /** The request line's URL, as it came. */
  readonly url: string
  /** Whether the caller is a proxy of ours. Of others the headers count for nothing. */
  readonly trusted: boolean
}

/** The original request, as far as it is known. */
export interface ForwardedRequest {
  readonly method: string | undefined
  /** Path with query, undecoded. */
  readonly path: string | undefined
  readonly host: string | undefined
  readonly scheme: string | undefined
  /** Address of the client. */
  readonly clientAddress: string | undefined
  readonly headers: IncomingHttpHeaders
  /** Attributes as text, by name, that the operator wrote into the proxy's config. */
  readonly attributes: readonly (readonly [string, string])[]
}

/**
 * The query parameters that are the operator's. Two forms of calls are known:
 *
 * - nginx, Caddy, Traefik, HAProxy: the operator chooses the URL, and `X-Forwarded-Uri`, `-Method`, `-Host`, `-Proto` and
 *   `-For` describe the request. The URL's query is the operator's: `attr.<name>=<value>` sets an attribute.
 * - Envoy's HTTP service: method, host and query are the client's, and the original path follows the prefix. Nothing in
 *   that query is the operator's.
 */
export function operatorParams({ message, url, trusted }: ForwardedCall): StringMap | undefined {
  const chosen =
    trusted && (urlPathOf(url) === AUTHZ_PATH || forwarded(message.headers, 'x-forwarded-uri') !== undefined)
  return chosen ? queryParamsOf(url) : undefined
}

/**
 * Reads a forward-auth call.
 *
 * Some proxies append the client's query to the operator's. Then nobody can tell the two apart, so a call is refused
 * whose client names an attribute that way.
 * @throws IntermixError INVALID_REQUEST
 */
export function readForwarded(call: ForwardedCall, vocabulary: Vocabulary): ForwardedRequest {
  const { message, trusted } = call
  const { headers } = message
  const params = operatorParams(call)
  const path = originalPath(call)
  if (params !== undefined && path !== undefined) refuseClaims(path, vocabulary)
  const own = trusted ? headers : {}
  return {
    method: forwarded(own, 'x-forwarded-method')?.toUpperCase() ?? message.method,
    path,
    host: forwarded(own, 'x-forwarded-host') ?? headers.host,
    scheme: forwarded(own, 'x-forwarded-proto'),
    // A proxy's own address is not its client's. The last entry is the one that the proxy itself has added.
    clientAddress: trusted
      ? forwarded(own, 'x-forwarded-for')?.split(',').at(-1)?.trim()
      : message.socket.remoteAddress,
    headers,
    attributes: [...(params?.entries() ?? [])].flatMap(([name, value]) =>
      name.startsWith(ATTRIBUTE_PREFIX) ? [[name.slice(ATTRIBUTE_PREFIX.length), value] as const] : [],
    ),
  }
}

function originalPath({ message, url, trusted }: ForwardedCall): string | undefined {
  const uri = trusted ? forwarded(message.headers, 'x-forwarded-uri') : undefined
  if (uri !== undefined) return originForm(uri)
  return urlPathOf(url) === AUTHZ_PATH ? undefined : url.slice(AUTHZ_PATH.length)
}

/** One header that a proxy sets; of repeated ones the last, which is the nearest proxy's. */
function forwarded(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name]
  const text = typeof value === 'string' ? value : value?.at(-1)
  return text === undefined || text === '' ? undefined : text
}

/** `http://host/path` as `/path`; a path stays as it is. */
function originForm(uri: string): string {
  if (uri.startsWith('/')) return uri
  const rest = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*(.*)$/i.exec(uri)?.[1] ?? uri
  return rest.startsWith('/') ? rest : `/${rest}`
}

function refuseClaims(path: string, vocabulary: Vocabulary): void {
  for (const [name] of queryParamsOf(path)?.entries() ?? []) {
    if (name.startsWith(ATTRIBUTE_PREFIX) && vocabulary.has(name.slice(ATTRIBUTE_PREFIX.length))) {
      throw new IntermixError('INVALID_REQUEST', `the query of the request claims an attribute: ${name}`)
    }
  }
}
