// Attributes that entries of HTTP requests and of TCP connections have in common.

import { Code, type CodeName } from '../../src/kernel/status.ts'
import { Duration, Timestamp } from '../../src/kernel/time.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'
import type { Derive } from '../../src/wire/derived-bag.ts'
import { ipOf, portOf } from './decoded-address.ts'
import { AUTH_DERIVATIONS, metadataOf } from '../../src/wire/envoy-metadata.ts'
import {
  type AccessLogCommon,
  AccessLogType,
  type HTTPAccessLogEntry,
  type TCPAccessLogEntry,
  type TLSProperties_CertificateProperties,
} from '../../src/wire/generated/envoy/data/accesslog/v3/accesslog_pb.ts'
import { namespaceOf, principalOf, serviceAccountOf } from '../../src/wire/peer-identity.ts'
import { shortCodesOf } from './decoded-response-flags.ts'

/** An entry, and the id of the proxy that wrote it. */
export interface AccessLogSource<E = HTTPAccessLogEntry | TCPAccessLogEntry> {
  readonly entry: E & { commonProperties?: AccessLogCommon | undefined }
  readonly reporter: string | undefined
}

/** Namespace of the dynamic metadata in which the filter keeps what a check answered. */
const CHECK_NAMESPACE = 'envoy.filters.http.ext_authz'

type FromCommon = (common: AccessLogCommon) => AttributeValue | undefined

const BY_COMMON: Readonly<Record<string, FromCommon>> = {
  'source.ip': (common) => ipOf(common.downstreamRemoteAddress),
  'source.port': (common) => portOf(common.downstreamRemoteAddress),
  'source.principal': (common) => principalOf(peerIdentity(common)),
  'source.namespace': (common) => namespaceOf(peerIdentity(common)),
  'source.serviceAccount': (common) => serviceAccountOf(peerIdentity(common)),
  'origin.ip': (common) => ipOf(common.downstreamRemoteAddress),
  'destination.ip': (common) => ipOf(common.upstreamRemoteAddress) ?? ipOf(common.downstreamLocalAddress),
  'destination.port': (common) => portOf(common.upstreamRemoteAddress) ?? portOf(common.downstreamLocalAddress),
  'destination.principal': (common) => principalOf(localIdentity(common)),
  'destination.namespace': (common) => namespaceOf(localIdentity(common)),
  'destination.serviceAccount': (common) => serviceAccountOf(localIdentity(common)),
  'destination.service.host': (common) => clusterOf(common)?.host,
  'destination.service.name': (common) => clusterOf(common)?.name,
  'destination.service.namespace': (common) => clusterOf(common)?.namespace,
  'connection.mtls': (common) => peerIdentity(common) !== undefined,
  'connection.requested_server_name': (common) => common.tlsProperties?.tlsSniHostname || undefined,
  'connection.id': (common) => common.streamId || undefined,
  'connection.event': eventOf,
  'context.proxy_error_code': (common) => shortCodesOf(common.responseFlags),
  'context.reporter.kind': (common) => clusterOf(common)?.direction ?? 'inbound',
  'context.time': startOf,
  'check.error_code': (common) => {
    const code = Code[checkText(common, 'status') as CodeName] as number | undefined
    return code === undefined ? undefined : BigInt(code)
  },
  'check.error_message': (common) => checkText(common, 'reason'),
  'check.cache_hit': (common) => {
    const tier = checkText(common, 'tier')
    return tier === undefined ? undefined : tier !== 'backend'
  },
}

/** Derivations from the common properties of an entry. */
export const COMMON_DERIVATIONS: Readonly<Record<string, Derive<AccessLogSource>>> = {
  ...mapTable(
    BY_COMMON,
    (derive) =>
      ({ entry }) =>
        entry.commonProperties ? derive(entry.commonProperties) : undefined,
  ),
  ...mapTable(
    AUTH_DERIVATIONS,
    (derive) =>
      ({ entry }, bag) =>
        derive(entry.commonProperties?.metadata, bag),
  ),
  'context.reporter.uid': ({ reporter }) => reporter || undefined,
}

/** When the request or the connection began. */
export function startOf(common: AccessLogCommon | undefined): Timestamp | undefined {
  const time = common?.startTime
  return time === undefined ? undefined : Timestamp.fromParts(time.seconds, time.nanos)
}

/** How long it took, up to the last byte sent where the whole is not known. */
export function durationOf(common: AccessLogCommon | undefined): Duration | undefined {
  const time = common?.duration ?? common?.timeToLastDownstreamTxByte
  return time === undefined ? undefined : Duration.fromParts(time.seconds, time.nanos)
}

function mapTable<A, B>(table: Readonly<Record<string, A>>, change: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(table).map(([name, value]) => [name, change(value)]))
}

/** Mixer's name for the point in the life of a stream at which an entry was written; absent where Envoy does not say. */
export function eventOf(common: AccessLogCommon): string | undefined {
  switch (common.accessLogType) {
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

function peerIdentity(common: AccessLogCommon): string | undefined {
  return identityOf(common.tlsProperties?.peerCertificateProperties)
}

function localIdentity(common: AccessLogCommon): string | undefined {
  return identityOf(common.tlsProperties?.localCertificateProperties)
}

/** The name that Envoy calls the principal of a certificate: URI, else DNS name, else subject. */
function identityOf(certificate: TLSProperties_CertificateProperties | undefined): string | undefined {
  const names = certificate?.subjectAltName ?? []
  const uri = names.find(({ san }) => san.case === 'uri' && san.value !== '')
  const dns = names.find(({ san }) => san.case === 'dns' && san.value !== '')
  return (uri ?? dns)?.san.value || certificate?.subject || undefined
}

interface Cluster {
  readonly direction: string
  readonly host: string | undefined
  readonly name: string | undefined
  readonly namespace: string | undefined
}

/** Istio's cluster names say where a request went: `outbound|9080|v1|reviews.default.svc.cluster.local`. */
function clusterOf(common: AccessLogCommon): Cluster | undefined {
  const [direction, , , host, ...rest] = common.upstreamCluster.split('|')
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

function checkText(common: AccessLogCommon, field: string): string | undefined {
  const value = metadataOf(common.metadata, CHECK_NAMESPACE)?.[field]
  return typeof value === 'string' ? value : undefined
}
