// Which request a forward-auth call is about, by the headers of its proxy.

import { RefusedRequest } from '../kernel/refused-request.ts'

/** The parts of a request that a proxy names; what it leaves out is `undefined`. */
export interface DescribedTarget {
  /** Path with query, as the proxy wrote it. */
  readonly path: string
  readonly host: string | undefined
  readonly scheme: string | undefined
  readonly method: string | undefined
}

type Said = ReadonlyMap<string, string>

/**
 * Reads what describes the request:
 *
 * - `X-Forwarded-Uri` with `-Method`, `-Host` and `-Proto` (Traefik, Caddy, our nginx and HAProxy examples);
 * - `X-Original-URL`, the whole URL, with `X-Original-Method` (ingress-nginx);
 * - `X-Original-URI` with `X-Original-Method` or `X-Forwarded-Method`, `-Host`, `-Proto` (nginx in many guides).
 *
 * Where the method has no header of the family, that of the other family counts.
 *
 * A client can send any of them, and a proxy overwrites only those that it knows. So where there are several, they have to
 * agree on all that they name.
 * @returns `undefined` where none of the three is there.
 * @throws RefusedRequest `contradictory`; `undescribed` where one holds no request target.
 */
export function describedTarget(said: Said): DescribedTarget | undefined {
  const found = [forwardedUri(said), originalUrl(said), originalUri(said)].filter((one) => one !== undefined)
  const [first, ...others] = found
  if (first === undefined) return undefined
  return others.reduce(agree, first)
}

/**
 * One header of the proxy; an empty one says nothing. Of a list the last element, which the nearest proxy added.
 * @throws RefusedRequest `undescribed` for a list whose last element is empty: what stands before it is a client's word.
 */
export function lastOf(said: Said, name: string): string | undefined {
  const elements = said.get(name)?.split(',') ?? []
  const last = elements.at(-1)?.trim()
  if (last !== '') return last
  if (elements.length === 1) return undefined
  throw new RefusedRequest('undescribed', `the last element of ${name} is empty`, `let the proxy set ${name}`)
}

function forwardedUri(said: Said): DescribedTarget | undefined {
  const target = targetOf(said, 'x-forwarded-uri')
  return target === undefined ? undefined : agree(target, forwardedParts(said, target.path))
}

function originalUrl(said: Said): DescribedTarget | undefined {
  const target = targetOf(said, 'x-original-url')
  if (target === undefined) return undefined
  return { ...target, method: methodOf(said, 'x-original-method') ?? methodOf(said, 'x-forwarded-method') }
}

function originalUri(said: Said): DescribedTarget | undefined {
  const target = targetOf(said, 'x-original-uri')
  if (target === undefined) return undefined
  const parts = forwardedParts(said, target.path)
  return agree(target, { ...parts, method: methodOf(said, 'x-original-method') ?? parts.method })
}

function forwardedParts(said: Said, path: string): DescribedTarget {
  return {
    path,
    host: lastOf(said, 'x-forwarded-host'),
    scheme: lastOf(said, 'x-forwarded-proto')?.toLowerCase(),
    method: methodOf(said, 'x-forwarded-method') ?? methodOf(said, 'x-original-method'),
  }
}

function methodOf(said: Said, name: string): string | undefined {
  const method = said.get(name) ?? ''
  if (method === '') return undefined
  if (TOKEN.test(method)) return method.toUpperCase()
  const text = JSON.stringify(method.slice(0, 100))
  throw new RefusedRequest('undescribed', `${name} is no method: ${text}`, `let the proxy set ${name}, such as GET`)
}

/** RFC 9110, section 5.6.2. */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/

/** `scheme://host` with a port perhaps and no user, and a path. Other characters could hide where the path begins. */
const ABSOLUTE = /^([a-z][a-z0-9+.-]*):\/\/((?:[a-z0-9._~!$&'()*+,;=%-]+|\[[0-9a-f:.]+\])(?::\d+)?)(\/.*|)$/is

function targetOf(said: Said, name: string): DescribedTarget | undefined {
  const text = said.get(name) ?? ''
  if (text === '') return undefined
  const [, scheme, host, path] = ABSOLUTE.exec(text) ?? []
  if (path !== undefined) {
    return { path: path || '/', host, scheme: scheme?.toLowerCase(), method: undefined }
  }
  // In a whole URL, `//` begins the host; in a request line it does not.
  const isHostFirst = name === 'x-original-url' && text.startsWith('//')
  if ((text.startsWith('/') && !isHostFirst) || text === '*')
    return { path: text, host: undefined, scheme: undefined, method: undefined }
  throw new RefusedRequest(
    'undescribed',
    `${name} is neither a path nor a URL: ${JSON.stringify(text.slice(0, 100))}`,
    `let the proxy set ${name} to the request's path with its query, such as /orders?id=1`,
  )
}

function agree(a: DescribedTarget, b: DescribedTarget): DescribedTarget {
  return {
    path: one('path', a.path, b.path) ?? '',
    host: one('host', a.host, b.host, (host) => host.toLowerCase()),
    scheme: one('scheme', a.scheme, b.scheme),
    method: one('method', a.method, b.method),
  }
}

function one(
  part: string,
  a: string | undefined,
  b: string | undefined,
  fold: (text: string) => string = (text) => text,
): string | undefined {
  if (a === undefined || b === undefined) return a ?? b
  if (fold(a) === fold(b)) return a
  throw new RefusedRequest(
    'contradictory',
    `the headers of the call name two ${part}s for the request`,
    'let the proxy set or remove each of X-Forwarded-Uri, X-Original-URL and X-Original-URI: a client can send them too',
  )
}
