// From a forward-auth call to Mixer's attributes.

import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import { Timestamp } from '../kernel/time.ts'
import { type Derive, DerivedBag } from '../wire/derived-bag.ts'
import { headerOf, isGrpc } from '../wire/request-headers.ts'
import { queryParamsOf, urlPathOf } from '../wire/request-path.ts'
import { readSetAttributes } from '../wire/set-attributes.ts'
import type { ForwardedRequest } from './forwarded-request.ts'

interface Source {
  readonly request: ForwardedRequest
  /** Milliseconds since the epoch. */
  readonly receivedAt: number
}

/**
 * The attributes of a request about which a proxy asks over HTTP, each worked out when it is read. What the operator set
 * wins over what is derived.
 * @throws IntermixError INVALID_ATTRIBUTE where a set attribute is not of its type.
 */
export function forwardedBag(request: ForwardedRequest, receivedAt: number, vocabulary: Vocabulary): AttributeBag {
  const { attributes } = request
  const set = attributes.length === 0 ? undefined : readSetAttributes(attributes, vocabulary, 'attr parameters')
  return new DerivedBag({ request, receivedAt }, DERIVATIONS, set)
}

const clientIp = ({ request }: Source) => request.clientIp

const TABLE: Readonly<Record<string, Derive<Source>>> = {
  'source.ip': clientIp,
  'origin.ip': clientIp,
  'context.protocol': (_, bag) => (isGrpc(headerOf(bag, 'content-type')) ? 'grpc' : 'http'),
  'context.reporter.kind': () => 'inbound',
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
