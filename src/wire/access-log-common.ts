// Attributes that entries of HTTP requests and of TCP connections have in common.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { Code, type CodeName } from '../kernel/status.ts'
import { Duration, Timestamp } from '../kernel/time.ts'
import type { AttributeValue } from '../kernel/value.ts'
import type { AccessLogEntry } from './access-log-entry.ts'
import { Slot } from './access-log-fields.ts'
import { ipOfText } from './envoy-address.ts'
import { AUTH_DERIVATIONS, metadataOf } from './envoy-metadata.ts'
import { AccessLogType } from './protocol-enums.ts'
import { namespaceOf, principalOf, serviceAccountOf } from './peer-identity.ts'
import { shortCodesOf } from './response-flags.ts'

/** How an attribute follows from an entry. */
export interface AccessLogAttribute {
  /** All that the derivation reads of the entry, also by other attributes of the bag. */
  readonly reads: readonly Slot[]
  readonly derive: (entry: AccessLogEntry, bag: AttributeBag) => AttributeValue | undefined
}

/** By attribute name. */
export type AccessLogAttributes = Readonly<Record<string, AccessLogAttribute>>

type Derive = AccessLogAttribute['derive']

const reading = (reads: readonly Slot[], derive: Derive): AccessLogAttribute => ({ reads, derive })

/** An attribute that there is only where the message which `whole` stands for is there. */
export const within = (whole: Slot, reads: readonly Slot[], derive: Derive): AccessLogAttribute =>
  reading([whole, ...reads], (entry, bag) => (entry.has(whole) ? derive(entry, bag) : undefined))

/** A text, absent where it is empty. */
export const textIn = (slot: Slot): AccessLogAttribute => reading([slot], (entry) => entry.text(slot) || undefined)

/** Namespace of the dynamic metadata in which the filter keeps what a check answered. */
const CHECK_NAMESPACE = 'envoy.filters.http.ext_authz'

/** What `startOf` reads. */
export const START: readonly Slot[] = [Slot.start, Slot.startSeconds, Slot.startNanos]
/** What `durationOf` reads. */
export const DURATION: readonly Slot[] = [
  Slot.duration,
  Slot.durationSeconds,
  Slot.durationNanos,
  Slot.sent,
  Slot.sentSeconds,
  Slot.sentNanos,
]
const PEER = [Slot.peerNames, Slot.peerSubject] as const
const OWN = [Slot.ownNames, Slot.ownSubject] as const
const REMOTE = [Slot.remoteSocket, Slot.remoteAddress, Slot.remotePort] as const
const LOCAL = [Slot.localSocket, Slot.localAddress, Slot.localPort] as const
const UPSTREAM = [Slot.upstreamSocket, Slot.upstreamAddress, Slot.upstreamPort] as const
const DESTINATION: readonly Slot[] = [...UPSTREAM, ...LOCAL]

/** Attributes from the common properties of an entry. */
export const COMMON_ATTRIBUTES: AccessLogAttributes = {
  'source.ip': reading(REMOTE, (entry) => ipOf(entry, REMOTE)),
  'source.port': reading(REMOTE, (entry) => portOf(entry, REMOTE)),
  'source.principal': reading(PEER, (entry) => principalOf(identityOf(entry, PEER))),
  'source.namespace': reading(PEER, (entry) => namespaceOf(identityOf(entry, PEER))),
  'source.serviceAccount': reading(PEER, (entry) => serviceAccountOf(identityOf(entry, PEER))),
  'origin.ip': reading(REMOTE, (entry) => ipOf(entry, REMOTE)),
  'destination.ip': reading(DESTINATION, (entry) => ipOf(entry, UPSTREAM) ?? ipOf(entry, LOCAL)),
  'destination.port': reading(DESTINATION, (entry) => portOf(entry, UPSTREAM) ?? portOf(entry, LOCAL)),
  'destination.principal': reading(OWN, (entry) => principalOf(identityOf(entry, OWN))),
  'destination.namespace': reading(OWN, (entry) => namespaceOf(identityOf(entry, OWN))),
  'destination.serviceAccount': reading(OWN, (entry) => serviceAccountOf(identityOf(entry, OWN))),
  'destination.service.host': reading([Slot.cluster], (entry) => clusterOf(entry)?.host),
  'destination.service.name': reading([Slot.cluster], (entry) => clusterOf(entry)?.name),
  'destination.service.namespace': reading([Slot.cluster], (entry) => clusterOf(entry)?.namespace),
  'connection.mtls': within(Slot.common, PEER, (entry) => identityOf(entry, PEER) !== undefined),
  'connection.requested_server_name': textIn(Slot.sni),
  'connection.id': textIn(Slot.stream),
  'connection.event': reading([Slot.logType], eventOf),
  'context.proxy_error_code': within(Slot.common, [Slot.flags], (entry) => shortCodesOf(entry.raw(Slot.flags))),
  'context.reporter.kind': within(Slot.common, [Slot.cluster], (entry) => clusterOf(entry)?.direction ?? 'inbound'),
  'context.reporter.uid': reading([], (entry) => entry.reporter || undefined),
  'context.time': reading(START, startOf),
  'check.error_code': reading([Slot.metadata], (entry) => {
    const code = Code[checkText(entry, 'status') as CodeName] as number | undefined
    return code === undefined ? undefined : BigInt(code)
  }),
  'check.error_message': reading([Slot.metadata], (entry) => checkText(entry, 'reason')),
  'check.cache_hit': reading([Slot.metadata], (entry) => {
    const tier = checkText(entry, 'tier')
    return tier === undefined ? undefined : tier !== 'backend'
  }),
  ...Object.fromEntries(
    Object.entries(AUTH_DERIVATIONS).map(([name, derive]) => [
      name,
      reading([Slot.metadata], (entry, bag) => derive(entry.metadata, bag)),
    ]),
  ),
}

/** When the request or the connection began. */
export function startOf(entry: AccessLogEntry): Timestamp | undefined {
  if (!entry.has(Slot.start)) return undefined
  return Timestamp.fromParts(entry.int64(Slot.startSeconds), entry.int32(Slot.startNanos))
}

/** How long it took, up to the last byte sent where the whole is not known. */
export function durationOf(entry: AccessLogEntry): Duration | undefined {
  if (entry.has(Slot.duration))
    return Duration.fromParts(entry.int64(Slot.durationSeconds), entry.int32(Slot.durationNanos))
  if (!entry.has(Slot.sent)) return undefined
  return Duration.fromParts(entry.int64(Slot.sentSeconds), entry.int32(Slot.sentNanos))
}

/** Mixer's name for the point in the life of a stream at which an entry was written; absent where Envoy does not say. */
export function eventOf(entry: AccessLogEntry): string | undefined {
  switch (entry.int32(Slot.logType)) {
    case AccessLogType.TcpConnectionStart:
    case AccessLogType.TcpUpstreamConnected:
    case AccessLogType.DownstreamStart:
      return 'open'
    case AccessLogType.TcpPeriodic:
    case AccessLogType.DownstreamPeriodic:
      return 'continue'
    case AccessLogType.TcpConnectionEnd:
    case AccessLogType.DownstreamEnd:
      return 'close'
    default:
      return undefined
  }
}

/** That there is a socket, and its address and port. */
type Socket = readonly [Slot, Slot, Slot]

/** The IP of a socket; absent for pipes and names. */
function ipOf(entry: AccessLogEntry, [, address]: Socket): Uint8Array | undefined {
  return entry.has(address) ? ipOfText(entry.text(address)) : undefined
}

/** The port of a socket; absent for pipes and where it is 0. */
function portOf(entry: AccessLogEntry, [, , port]: Socket): bigint | undefined {
  const number = entry.int32(port) >>> 0
  return number === 0 ? undefined : BigInt(number)
}

/** The name that Envoy calls the principal of a certificate: URI, else DNS name, else subject. */
function identityOf(entry: AccessLogEntry, [names, subject]: readonly [Slot, Slot]): string | undefined {
  const places = entry.places(names)
  return nameIn(entry, places, 0) ?? nameIn(entry, places, 1) ?? (entry.text(subject) || undefined)
}

/** The first URI (0) or DNS name (1) that is not empty. */
function nameIn(entry: AccessLogEntry, places: readonly number[], which: 0 | 1): string | undefined {
  for (let at = which; at < places.length; at += 2) {
    const name = entry.textAt(places[at] ?? 0)
    if (name !== '') return name
  }
  return undefined
}

interface Cluster {
  readonly direction: string
  readonly host: string | undefined
  readonly name: string | undefined
  readonly namespace: string | undefined
}

/** Istio's cluster names say where a request went: `outbound|9080|v1|reviews.default.svc.cluster.local`. */
function clusterOf(entry: AccessLogEntry): Cluster | undefined {
  const [direction, , , host, ...rest] = entry.text(Slot.cluster).split('|')
  if ((direction !== 'inbound' && direction !== 'outbound') || host === undefined || rest.length > 0) return undefined
  const [name, namespace, svc] = host.split('.')
  const inMesh = svc === 'svc'
  return {
    direction,
    host: host || undefined,
    name: inMesh ? name : undefined,
    namespace: inMesh ? namespace : undefined,
  }
}

function checkText(entry: AccessLogEntry, field: string): string | undefined {
  const value = metadataOf(entry.metadata, CHECK_NAMESPACE)?.[field]
  return typeof value === 'string' ? value : undefined
}
