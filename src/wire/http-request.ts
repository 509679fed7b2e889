// From an HTTP request, by whomever it was read, to Mixer's attributes.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { Timestamp } from '../kernel/time.ts'
import type { AttributeValue, StringMap } from '../kernel/value.ts'
import { type Derive, DerivedBag } from './derived-bag.ts'
import { headerOf, isGrpc } from './request-headers.ts'
import { queryParamsOf, urlPathOf } from './request-path.ts'

/** A request, as far as it is known. */
export interface HttpRequest {
  readonly method: string | undefined
  /** Path with query, undecoded. */
  readonly path: string
  readonly host: string | undefined
  readonly scheme: string | undefined
  /** Address of the client, 4 or 16 bytes. */
  readonly clientIp: Uint8Array | undefined
  /** Names in lower case, the pseudo headers of HTTP/2 as well (`completeHeaders`). */
  readonly headers: StringMap
}

/** Seen from who answers the request, or from who makes it. */
export type Direction = 'inbound' | 'outbound'

interface Source {
  readonly request: HttpRequest
  /** Milliseconds since the epoch. */
  readonly receivedAt: number
  readonly direction: Direction
}

/**
 * The attributes of a request, each worked out when it is read.
 * @param set what an operator set wins over what is derived; the map is taken over
 */
export function httpRequestBag(
  request: HttpRequest,
  receivedAt: number,
  set?: Map<string, AttributeValue | undefined>,
  direction: Direction = 'inbound',
): AttributeBag {
  return new DerivedBag({ request, receivedAt, direction }, DERIVATIONS, set)
}

/** Adds the headers that name the request, those of either version of HTTP. */
export function completeHeaders(headers: Map<string, string>, request: Omit<HttpRequest, 'headers'>): StringMap {
  const { method, path, host, scheme } = request
  if (host !== undefined) headers.set('host', host).set(':authority', host)
  if (method !== undefined) headers.set(':method', method)
  return headers.set(':path', path).set(':scheme', scheme ?? 'http')
}

const clientIp = ({ request }: Source) => request.clientIp

const TABLE: Readonly<Record<string, Derive<Source>>> = {
  'source.ip': clientIp,
  'origin.ip': clientIp,
  'context.protocol': (_, bag) => (isGrpc(headerOf(bag, 'content-type')) ? 'grpc' : 'http'),
  'context.reporter.kind': ({ direction }) => direction,
  'context.time': ({ receivedAt }) => Timestamp.fromMillis(receivedAt),
  'request.time': ({ receivedAt }) => Timestamp.fromMillis(receivedAt),
  'request.headers': ({ request }) => request.headers,
  'request.method': ({ request }) => request.method,
  'request.path': ({ request }) => request.path,
  'request.url_path': ({ request }) => urlPathOf(request.path),
  'request.query_params': ({ request }) => queryParamsOf(request.path),
  'request.host': ({ request }) => request.host,
  'request.scheme': ({ request }) => request.scheme ?? 'http',
  'request.id': (_, bag) => headerOf(bag, 'x-request-id'),
  'request.useragent': (_, bag) => headerOf(bag, 'user-agent'),
  'request.referer': (_, bag) => headerOf(bag, 'referer'),
}

const DERIVATIONS = new Map(Object.entries(TABLE))
