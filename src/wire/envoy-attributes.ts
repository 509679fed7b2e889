// From Envoy's authorization request to Mixer's attributes.

import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import { RefusedRequest } from '../kernel/refused-request.ts'
import { Timestamp } from '../kernel/time.ts'
import type { StringMap } from '../kernel/value.ts'
import { type Derivations, type Derive, DerivedBag } from './derived-bag.ts'
import { ipOfText } from './envoy-address.ts'
import { AUTH_DERIVATIONS } from './envoy-metadata.ts'
import type { EnvoyCheck, EnvoyPeer } from './envoy-check.ts'
import { type FilterMetadata, readFilterMetadata } from './filter-metadata.ts'
import { addField, fieldText, withLowerCaseNames } from './header-map.ts'
import { namespaceOf, principalOf, serviceAccountOf } from './peer-identity.ts'
import { FORWARDED_ATTRIBUTES_HEADER, headerOf, isGrpc } from './request-headers.ts'
import { queryParamsOf, urlPathOf } from './request-path.ts'
import { readSetAttributes } from './set-attributes.ts'

/**
 * The attributes of a request about which Envoy asks. Each is worked out when it is first read.
 *
 * What a client sends reaches `request.*` only. Envoy itself vouches for peers, TLS and verified tokens, and the operator
 * sets any attribute by its name in `context_extensions`, which wins over what is derived.
 */
export class EnvoyCheckBag extends DerivedBag<EnvoyCheck> {
  /** @throws IntermixError INVALID_ATTRIBUTE where a context extension is not of its attribute's type. */
  constructor(check: EnvoyCheck, vocabulary: Vocabulary) {
    const { extensions } = check
    const set =
      extensions === undefined
        ? undefined
        : readSetAttributes(check.map(extensions).entries(), vocabulary, 'context_extensions')
    super(check, DERIVATIONS, set)
  }
}

/**
 * The bag of a request that says what it is about. A connection (Envoy's network filter) has one end at least, and a
 * request a path; only CONNECT has none. Without them nearly no rule could apply, and what is not described would be
 * allowed.
 * @throws RefusedRequest `undescribed`, `contradictory`, and for headers as `addField` and `fieldText` do; else as the bag
 *   does
 */
export function describedCheckBag(check: EnvoyCheck, vocabulary: Vocabulary): EnvoyCheckBag {
  refuseUndescribed(check)
  const bag = new EnvoyCheckBag(check, vocabulary)
  // Whether lines may be joined is a question for the door, not for the first rule that reads them.
  if (check.http !== undefined) bag.get('request.headers')
  return bag
}

function refuseUndescribed(check: EnvoyCheck): void {
  const { http, source, destination } = check
  if (http === undefined) {
    if (source?.hasAddress === true || destination?.hasAddress === true) return
    throw new RefusedRequest('undescribed', 'the check says neither which request nor which connection it is about')
  }
  if (check.firstByte(http.path) === SLASH) return
  const path = check.text(http.path)
  if (path === '') {
    if (check.text(http.method) === 'CONNECT') return
    throw new RefusedRequest('undescribed', 'the check is about a request without a path')
  }
  if (TARGET.test(path)) return
  const quoted = JSON.stringify(path.slice(0, 100))
  throw new RefusedRequest('undescribed', `the path of the request is neither a path nor a URL: ${quoted}`)
}

const SLASH = 0x2f
/** The beginnings of request targets (RFC 9112, section 3.2) without a slash, but CONNECT's. */
const TARGET = /^(?:\*$|[a-z][a-z0-9+.-]*:\/\/)/i

const textOf = (check: EnvoyCheck, place: number | undefined): string | undefined =>
  place === undefined ? undefined : check.text(place)
const presentText = (check: EnvoyCheck, place: number | undefined): string | undefined =>
  place === undefined || place === 0 ? undefined : check.text(place) || undefined
const portOf = (peer: EnvoyPeer | undefined): bigint | undefined =>
  peer === undefined || peer.port === 0 ? undefined : BigInt(peer.port)
const ipOf = (check: EnvoyCheck, peer: EnvoyPeer | undefined): Uint8Array | undefined =>
  peer === undefined || peer.address === 0 ? undefined : ipOfText(check.text(peer.address))

const TABLE: Readonly<Record<string, Derive<EnvoyCheck>>> = {
  'source.ip': (check) => ipOf(check, check.source),
  'source.port': (check) => portOf(check.source),
  'source.principal': (check) => principalOf(textOf(check, check.source?.principal)),
  'source.namespace': (check) => namespaceOf(textOf(check, check.source?.principal)),
  'source.serviceAccount': (check) => serviceAccountOf(textOf(check, check.source?.principal)),
  'source.labels': (check) => labels(check, check.source),
  'origin.ip': (check) => ipOf(check, check.source),
  'destination.ip': (check) => ipOf(check, check.destination),
  'destination.port': (check) => portOf(check.destination),
  'destination.principal': (check) => principalOf(textOf(check, check.destination?.principal)),
  'destination.namespace': (check) => namespaceOf(textOf(check, check.destination?.principal)),
  'destination.serviceAccount': (check) => serviceAccountOf(textOf(check, check.destination?.principal)),
  'destination.labels': (check) => labels(check, check.destination),
  'destination.service.name': (check) => presentText(check, check.destination?.service),
  'connection.mtls': (check) =>
    presentText(check, check.source?.principal) !== undefined ||
    presentText(check, check.source?.certificate) !== undefined,
  'connection.requested_server_name': (check) => presentText(check, check.sni),
  'context.protocol': protocolOf,
  'context.reporter.kind': () => 'inbound',
  'context.time': timeOf,
  'request.headers': headersOf,
  'request.method': (check) => presentText(check, check.http?.method),
  'request.path': (check) => textOf(check, check.http?.path),
  'request.url_path': (check) => (check.http === undefined ? undefined : urlPathOf(check.text(check.http.path))),
  'request.query_params': (check) => queryParamsOf(textOf(check, check.http?.path) ?? ''),
  'request.host': (check) => textOf(check, check.http?.host),
  'request.scheme': (check) => (check.http === undefined ? undefined : check.text(check.http.scheme) || 'http'),
  'request.size': (check) => {
    const size = check.http === undefined ? undefined : check.int64(check.http.size)
    return size === undefined || size < 0n ? undefined : size
  },
  'request.id': (check) => presentText(check, check.http?.id),
  'request.time': (check) => (check.http === undefined ? undefined : timeOf(check)),
  'request.useragent': (_, bag) => headerOf(bag, 'user-agent'),
  'request.referer': (_, bag) => headerOf(bag, 'referer'),
}

const DERIVATIONS: Derivations<EnvoyCheck> = new Map([
  ...Object.entries(TABLE),
  ...Object.entries(AUTH_DERIVATIONS).map(([name, derive]): [string, Derive<EnvoyCheck>] => [
    name,
    (check, bag) => derive(metadataOf(check), bag),
  ]),
])

/** All attributes that a check of Envoy can have without the operator setting them. */
export const ENVOY_CHECK_ATTRIBUTES: readonly string[] = [...DERIVATIONS.keys()]

/** The map that Envoy has joined, or its raw lines (`encode_raw_headers`), joined in the same way. */
function headersOf(check: EnvoyCheck): StringMap | undefined {
  const { http } = check
  if (http === undefined) return undefined
  const joined = check.map(http.headers, FORWARDED_ATTRIBUTES_HEADER)
  if (http.lines.length > 0) return withoutContradiction(joinLines(check, http.lines), joined)
  // Envoy's names are in lower case; those of others that speak its protocol need not be.
  return joined.hasCapitals() ? withLowerCaseNames(check.map(http.headers), FORWARDED_ATTRIBUTES_HEADER) : joined
}

/** Whether the client sent a header, by lower-case name, as far as Envoy tells. */
export function sentHeader(check: EnvoyCheck, name: string): boolean {
  const { lines, headers } = check.http ?? NO_HEADERS
  for (let at = 0; at < lines.length; at += 3) if (check.text(lines[at] ?? 0).toLowerCase() === name) return true
  for (let at = 0; at < headers.length; at += 2) if (check.text(headers[at] ?? 0).toLowerCase() === name) return true
  return false
}

const NO_HEADERS = { lines: [], headers: [] } as const

/** Envoy fills one of the two; a caller that fills both must say the same twice. */
function withoutContradiction(lines: StringMap, headers: StringMap): StringMap {
  for (const [name, value] of headers.entries()) {
    const key = name.toLowerCase()
    if (key === FORWARDED_ATTRIBUTES_HEADER || lines.get(key) === value) continue
    throw new RefusedRequest('contradictory', `headers and header_map name two values for the header ${key}`)
  }
  return lines
}

function joinLines(check: EnvoyCheck, lines: readonly number[]): StringMap {
  const headers = new Map<string, string>()
  for (let at = 0; at < lines.length; at += 3) {
    const name = check.text(lines[at] ?? 0).toLowerCase()
    if (name === FORWARDED_ATTRIBUTES_HEADER) continue
    const raw = check.bytes(lines[at + 2] ?? 0)
    addField(headers, name, raw.length > 0 ? fieldText(name, raw) : check.text(lines[at + 1] ?? 0))
  }
  return headers
}

function labels(check: EnvoyCheck, peer: EnvoyPeer | undefined): StringMap | undefined {
  return peer?.labels === undefined ? undefined : check.map(peer.labels)
}

function protocolOf(check: EnvoyCheck, bag: AttributeBag): string {
  if (check.http === undefined) return 'tcp'
  return isGrpc(headerOf(bag, 'content-type')) ? 'grpc' : 'http'
}

function timeOf(check: EnvoyCheck): Timestamp | undefined {
  if (!check.hasTime) return undefined
  return Timestamp.fromParts(check.int64(check.seconds), check.int32(check.nanos))
}

function metadataOf(check: EnvoyCheck): FilterMetadata | undefined {
  return check.metadata && readFilterMetadata(check.metadata.map((place) => check.bytes(place)))
}
