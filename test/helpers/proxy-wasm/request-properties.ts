// The attributes of a request as Envoy tells them to filters (source/extensions/filters/common/expr/context.cc), from what
// the double knows of it.

import type { HeaderLines } from './header-lines.ts'
import { Fields, type PropertyValue } from './property-value.ts'

/** What is known of a request beside its headers. Addresses are `ip:port`. */
export interface RequestFacts {
  readonly source?: string
  readonly destination?: string
  readonly protocol?: string
  /** By name, such as `mtls`, `requested_server_name`, `uri_san_peer_certificate`. */
  readonly connection?: Readonly<Record<string, PropertyValue>>
  /** Further attributes by their first name: `metadata`, `xds`, `route_name` … */
  readonly others?: Readonly<Record<string, PropertyValue>> | undefined
}

export interface KnownRequest extends RequestFacts {
  readonly startedAtMs: number
  /** What may be read of headers now. */
  readonly requestHeaders: HeaderLines | undefined
  readonly responseHeaders: HeaderLines | undefined
  readonly responseCode: number | undefined
}

const bytes = (text: string | undefined) => (text === undefined ? undefined : Buffer.from(text, 'latin1'))

/** `undefined` where Envoy has no such attribute, or nothing to tell of it. */
export function requestProperty(name: string, known: KnownRequest): PropertyValue | undefined {
  const { connection = {}, others = {} } = known
  if (name === 'request') return new Fields((field) => requestField(field, known))
  if (name === 'response') return new Fields((field) => responseField(field, known))
  if (name === 'source') return addressFields(known.source)
  if (name === 'destination') return addressFields(known.destination)
  if (name === 'connection') return new Fields((field) => connection[field] ?? (field === 'mtls' ? false : undefined))
  return others[name]
}

function requestField(field: string, known: KnownRequest): PropertyValue | undefined {
  const { requestHeaders: headers, startedAtMs, protocol = 'HTTP/1.1' } = known
  if (field === 'protocol') return protocol
  if (field === 'time') return BigInt(Math.round(startedAtMs * 1_000)) * 1_000n
  if (field === 'headers') return new Fields((name) => joined(headers, name))
  if (headers === undefined) return undefined
  const path = headers.get(':path')
  if (field === 'path') return bytes(path)
  if (field === 'url_path') return bytes(path?.split('?')[0])
  if (field === 'query') return path?.includes('?') === true ? bytes(path.slice(path.indexOf('?') + 1)) : ''
  const header = REQUEST_HEADERS[field]
  return header === undefined ? undefined : bytes(headers.get(header))
}

const REQUEST_HEADERS: Readonly<Record<string, string>> = {
  host: ':authority',
  scheme: ':scheme',
  method: ':method',
  referer: 'referer',
  id: 'x-request-id',
  useragent: 'user-agent',
}

function responseField(field: string, { responseHeaders, responseCode }: KnownRequest): PropertyValue | undefined {
  if (field === 'code') return responseCode === undefined ? undefined : BigInt(responseCode)
  if (field === 'headers') return new Fields((name) => joined(responseHeaders, name))
  return field === 'flags' || field === 'size' || field === 'total_size' ? 0n : undefined
}

function joined(headers: HeaderLines | undefined, name: string): PropertyValue | undefined {
  const values = headers?.all(name) ?? []
  return values.length === 0 ? undefined : bytes(values.join(','))
}

function addressFields(address: string | undefined): PropertyValue {
  return new Fields((field) => {
    if (address === undefined) return undefined
    if (field === 'address') return address
    return field === 'port' ? BigInt(address.slice(address.lastIndexOf(':') + 1)) : undefined
  })
}
