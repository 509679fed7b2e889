// What a proxy asks about in forward-auth: the original request, and what its operator set, told apart from what the
// client sent.

import type { Vocabulary } from '../kernel/attribute-bag.ts'
import { RefusedRequest } from '../kernel/refused-request.ts'
import { suggest } from '../kernel/suggest.ts'
import type { StringMap } from '../kernel/value.ts'
import { completeHeaders, type HttpRequest } from '../wire/http-request.ts'
import { queryOf, queryParamsOf, urlPathOf } from '../wire/request-path.ts'
import { clientIpOf } from './client-address.ts'
import { type DescribedTarget, describedTarget, lastOf } from './described-target.ts'
import { readFields } from './forwarded-fields.ts'

/** Path under which forward-auth is served; what follows it can be the original path. */
export const AUTHZ_PATH = '/v1/authz'
const ATTRIBUTE_PREFIX = 'attr.'

/** Whether a URL is, to the letter, the one of forward-auth or one below it. */
export function isAuthzUrl(url: string): boolean {
  if (!url.startsWith(AUTHZ_PATH)) return false
  const next = url.charAt(AUTHZ_PATH.length)
  return next === '/' || next === '?' || next === '#' || next === ''
}

/** A call as it arrived. */
export interface ForwardedCall {
  readonly method: string | undefined
  /** The request line's URL, as it came. */
  readonly url: string
  /** Name, value, name, … as they came. */
  readonly rawHeaders: readonly string[]
  /** Address of the caller; of a Unix socket there is none. */
  readonly peer: string | undefined
  /** Whether the caller is a proxy of ours. Of others the headers count for nothing. */
  readonly trusted: boolean
  /** Most headers that are taken. */
  readonly maxFields: number
  /** Of the URL: see `operatorParams`. */
  readonly params: StringMap | undefined
}

/** The original request, as far as it is known. */
export interface ForwardedRequest extends HttpRequest {
  /** Attributes as text, by name, that the operator wrote into the proxy's config. */
  readonly attributes: readonly (readonly [string, string])[]
}

/**
 * The query parameters of a URL that is the operator's; `undefined` where it is the client's. Two forms of calls are known:
 *
 * - nginx, Caddy, Traefik, HAProxy: the operator chooses the URL `/v1/authz`, and headers describe the request. The URL's
 *   query is the operator's: `attr.<name>=<value>` sets an attribute.
 * - Envoy's HTTP service: method, host and query are the client's, and the original path follows the prefix. Nothing in
 *   that query is the operator's, and no header describes the request.
 */
export function operatorParams(url: string): StringMap | undefined {
  if (urlPathOf(url) !== AUTHZ_PATH) return undefined
  return queryParamsOf(url)?.unambiguous() ?? new Map<string, string>()
}

/**
 * Reads a forward-auth call.
 *
 * Some proxies append the client's query to the operator's. Then nobody can tell the two apart, so a call is refused
 * whose client names an attribute that way.
 * @throws RefusedRequest where it does not say, or not in one way, which request it is about; and as `readFields` does
 */
export function readForwarded(call: ForwardedCall, vocabulary: Vocabulary): ForwardedRequest {
  const { url, trusted, peer, params } = call
  // The router takes other spellings too, of which nobody can tell where the prefix ends and the client's path begins.
  if (!isAuthzUrl(url)) {
    const advice = `let the proxy ask for ${AUTHZ_PATH}, without a scheme and a host before it and with nothing escaped`
    throw new RefusedRequest('undescribed', `the check was not asked at ${AUTHZ_PATH} to the letter`, advice)
  }
  const { headers, said } = readFields(call.rawHeaders, call.maxFields)
  const target = params === undefined ? followingTarget(call, said) : headerTarget(call, said)
  const attributes = params === undefined || !trusted ? [] : operatorAttributes(url, params, vocabulary)
  if (params !== undefined) refuseClaims(target.path, vocabulary)
  const request = {
    method: target.method ?? call.method,
    path: target.path,
    host: target.host ?? headers.get('host'),
    scheme: target.scheme ?? (trusted ? lastOf(said, 'x-forwarded-proto') : undefined),
    // A proxy's own address is not its client's. The last entry is the one that the proxy itself has added.
    clientIp: clientIpOf(trusted ? lastOf(said, 'x-forwarded-for') : peer),
  }
  return { ...request, headers: completeHeaders(headers, request), attributes }
}

/** Envoy's HTTP service: what follows the prefix in the request line, whatever a client put into headers. */
function followingTarget({ url, method }: ForwardedCall, said: ReadonlyMap<string, string>): DescribedTarget {
  const path = url.slice(AUTHZ_PATH.length)
  // A slash too many in the URL of a proxy that describes by headers, and every request would be one for "/".
  if (urlPathOf(path) === '/' && urlPathOf(describedTarget(said)?.path ?? path) !== '/') {
    throw new RefusedRequest(
      'contradictory',
      `the call is about / by its URL and about something else by its headers`,
      `a proxy that describes the request in headers has to ask ${AUTHZ_PATH}, with no slash behind it`,
    )
  }
  return { path, method, host: undefined, scheme: undefined }
}

function headerTarget({ trusted, peer }: ForwardedCall, said: ReadonlyMap<string, string>): DescribedTarget {
  const described = ['x-forwarded-uri', 'x-original-url', 'x-original-uri'].filter((name) => said.has(name))
  if (described.length > 0 && !trusted) {
    throw new RefusedRequest(
      'untrusted',
      'the call describes its request in headers, which are not believed from this address',
      `if ${peer} is a proxy of yours, add it to --trust-forwarded`,
    )
  }
  const target = describedTarget(said)
  if (target !== undefined) return target
  const message =
    described.length === 0
      ? 'the call does not say which request it is about: it has neither X-Forwarded-Uri nor X-Original-URL'
      : `the call does not say which request it is about: ${described.join(' and ')} is empty`
  const advice = `let the proxy set X-Forwarded-Uri to the request's path with its query, and X-Forwarded-Method and -Host`
  throw new RefusedRequest('undescribed', message, advice)
}

function operatorAttributes(url: string, params: StringMap, vocabulary: Vocabulary): (readonly [string, string])[] {
  if (!isDecodable(queryOf(url))) {
    throw new RefusedRequest(
      'ill-formed',
      "the query of the check's URL is not percent-encoded UTF-8",
      `write a % of an attribute's value as %25 in the URL that the proxy asks`,
    )
  }
  const attributes: (readonly [string, string])[] = []
  for (const [name, value] of params.entries()) {
    if (!name.startsWith(ATTRIBUTE_PREFIX)) continue
    const attribute = name.slice(ATTRIBUTE_PREFIX.length)
    if (params.ambiguity?.(name) === 'value') {
      const message = `the check's URL gives ${name.slice(0, 200)} two values`
      throw new RefusedRequest('contradictory', message, 'mend the URL that the proxy asks')
    }
    if (!vocabulary.has(attribute)) {
      const hint = suggest(attribute, vocabulary.keys())
      const message = `${name.slice(0, 200)}: no attribute manifest has this attribute.${hint}`
      throw new RefusedRequest(
        'unknown-attribute',
        message,
        'mend the URL that the proxy asks, or declare the attribute',
      )
    }
    attributes.push([attribute, value])
  }
  return attributes
}

function isDecodable(query: string): boolean {
  if (!query.includes('%')) return true
  try {
    decodeURIComponent(query)
    return true
  } catch {
    return false
  }
}

function refuseClaims(path: string, vocabulary: Vocabulary): void {
  for (const [name] of queryParamsOf(path)?.entries() ?? []) {
    if (name.startsWith(ATTRIBUTE_PREFIX) && vocabulary.has(name.slice(ATTRIBUTE_PREFIX.length))) {
      throw new RefusedRequest('claimed', `the query of the request claims an attribute: ${name}`)
    }
  }
}
