// Names of headers that the filter reads.

import { bytesOf } from '../bytes/bytes'

export const METHOD = bytesOf(':method')
export const PATH = bytesOf(':path')
export const AUTHORITY = bytesOf(':authority')
export const SCHEME = bytesOf(':scheme')
export const HOST = bytesOf('host')
export const AUTHORIZATION = bytesOf('authorization')
export const CONTENT_LENGTH = bytesOf('content-length')
export const CONTENT_TYPE = bytesOf('content-type')
export const COOKIE = bytesOf('cookie')
export const REFERER = bytesOf('referer')
export const REQUEST_ID = bytesOf('x-request-id')
export const USER_AGENT = bytesOf('user-agent')
/** Mixer's proxies forwarded attributes in it; nobody gets to see it. */
export const FORWARDED_ATTRIBUTES = bytesOf('x-istio-attributes')
