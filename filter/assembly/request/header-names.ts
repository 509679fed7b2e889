// Names of headers: those that the filter reads, and what a name may be.

import { Bytes, bytesOf, isBytes } from '../bytes/bytes'

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

/** 1: what a name may hold (RFC 9110 section 5.1, in lower case). */
const TOKEN: StaticArray<u8> = tokens()

function tokens(): StaticArray<u8> {
  const all = new StaticArray<u8>(256)
  const plain = "!#$%&'*+.^_`|~-0123456789abcdefghijklmnopqrstuvwxyz"
  for (let i = 0; i < plain.length; i++) all[plain.charCodeAt(i)] = 1
  return all
}

/** Whether a header can have the name. Envoy looks at none. */
export function isFieldName(name: Bytes): bool {
  for (let i = 0; i < name.length; i++) if (TOKEN[name[i]] === 0) return false
  return name.length > 0
}

/** Whether it is a pseudo header of requests that rules may change. */
export function isPseudoName(name: Bytes): bool {
  return isBytes(name, PATH) || isBytes(name, AUTHORITY) || isBytes(name, METHOD)
}

export function lowered(name: Bytes): Bytes {
  const lower = name.slice()
  for (let i = 0; i < lower.length; i++) if (lower[i] >= 0x41 && lower[i] <= 0x5a) lower[i] += 0x20
  return lower
}
