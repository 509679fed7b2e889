// A request as Envoy has it before its filters, and what each of them tells a node of it.

import { create, toBinary } from '@bufbuild/protobuf'
import { CheckRequestSchema } from '../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import type { HeaderLine } from './proxy-wasm/header-lines.ts'
import { HeaderLines } from './proxy-wasm/header-lines.ts'
import type { RequestOptions } from './proxy-wasm/filtered-request.ts'
import type { PropertyValue } from './proxy-wasm/property-value.ts'

const MAX_INT64 = 2n ** 63n - 1n

export interface EnvoyRequest {
  /** Pseudo headers among them. Byte strings: a character is a byte. */
  readonly headers: readonly HeaderLine[]
  /** `ip:port`, an IPv6 address in brackets; or the path of a pipe. */
  readonly source?: string
  readonly destination?: string
  /** Subject alternative names of both ends' certificates. */
  readonly peer?: string
  readonly local?: string
  readonly serverName?: string
  /** What Envoy knows beside it, by the first name of the attribute. */
  readonly others?: RequestOptions['others']
}

/** For the host double. */
export function filterRequest({
  headers,
  source,
  destination,
  peer,
  local,
  serverName,
  others,
}: EnvoyRequest): RequestOptions {
  const connection: Record<string, PropertyValue> = { mtls: peer !== undefined }
  const sanOf = (name: string) => (name.includes('://') ? 'uri' : 'dns')
  if (peer !== undefined) connection[`${sanOf(peer)}_san_peer_certificate`] = peer
  if (local !== undefined) connection[`${sanOf(local)}_san_local_certificate`] = local
  if (serverName !== undefined) connection['requested_server_name'] = serverName
  return {
    headers,
    connection,
    ...(source === undefined ? {} : { source }),
    ...(destination === undefined ? {} : { destination }),
    ...(others === undefined ? {} : { others }),
  }
}

/** What Envoy's ext_authz filter would ask, with `encode_raw_headers`. */
export function extAuthzRequest(
  request: EnvoyRequest,
  now: number,
  extensions: Readonly<Record<string, string>> = {},
): Uint8Array {
  const headers = new HeaderLines(request.headers, true)
  const first = (name: string) => Buffer.from(headers.get(name) ?? '', 'latin1').toString('utf8')
  const size = headers.get('content-length')
  const attributes = {
    source: peerOf(request.source, request.peer),
    destination: peerOf(request.destination, request.local),
    request: {
      time: { seconds: BigInt(Math.floor(now / 1_000)), nanos: Math.floor((now % 1_000) * 1_000_000) },
      http: {
        id: first('x-request-id'),
        method: first(':method'),
        path: first(':path'),
        host: first(':authority'),
        scheme: first(':scheme'),
        size: size === undefined || !/^\d+$/.test(size) || BigInt(size) > MAX_INT64 ? -1n : BigInt(size),
        headerMap: {
          headers: headers.lines.map(([key, value]) => ({ key, rawValue: Buffer.from(value, 'latin1') })),
        },
      },
    },
    contextExtensions: { ...extensions },
    ...(request.serverName === undefined ? {} : { tlsSession: { sni: request.serverName } }),
  }
  return toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes }))
}

function peerOf(address: string | undefined, principal: string | undefined) {
  const named = principal === undefined ? {} : { principal }
  if (address === undefined) return named
  if (address.startsWith('/'))
    return { ...named, address: { address: { case: 'pipe' as const, value: { path: address } } } }
  const colon = address.lastIndexOf(':')
  const socketAddress = {
    address: address.slice(0, colon).replace(/^\[(.*)\]$/, '$1'),
    portValue: Number(address.slice(colon + 1)),
  }
  return { ...named, address: { address: { case: 'socketAddress' as const, value: socketAddress } } }
}
