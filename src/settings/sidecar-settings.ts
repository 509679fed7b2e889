// The settings of a sidecar: whom it asks, and what it keeps meanwhile.

import { MIB, type SettingSpec, SIDECAR } from './setting-spec.ts'

/** As `client/affinity.ts` has them. */
const AFFINITY = ['destination.service', 'destination.service.host', 'request.host', 'source.principal']

export const SIDECAR_SETTINGS = {
  nodes: {
    kind: 'list',
    required: true,
    placeholder: 'NODE,…',
    description:
      'The nodes: HOST:PORT, dns:NAME:PORT for all addresses of a name, srv:NAME for a service record, or unix:PATH.',
    group: 'Nodes',
    roles: SIDECAR,
  },
  nodesDiscover: {
    kind: 'boolean',
    default: false,
    description: 'Ask those nodes, too, of which the nodes tell.',
    group: 'Nodes',
    roles: SIDECAR,
  },
  nodesTlsCa: {
    kind: 'path',
    placeholder: 'FILE',
    description: 'Authorities in PEM that may have signed the certificates of nodes; read again when it changes.',
    defaultText: 'no TLS',
    group: 'Nodes',
    roles: SIDECAR,
  },
  nodesTlsCert: {
    kind: 'path',
    placeholder: 'FILE',
    description: 'Certificate that nodes are shown (mTLS), with its chain, in PEM.',
    defaultText: 'none',
    group: 'Nodes',
    roles: SIDECAR,
  },
  nodesTlsKey: {
    kind: 'path',
    placeholder: 'FILE',
    description: 'Key of the certificate that nodes are shown, in PEM.',
    defaultText: 'none',
    group: 'Nodes',
    roles: SIDECAR,
  },
  nodesTlsName: {
    kind: 'text',
    placeholder: 'NAME',
    description: 'Name that the certificates of nodes must have.',
    defaultText: 'the host that is connected to',
    pattern: { regex: /^[A-Za-z0-9]([A-Za-z0-9.-]{0,252})$/, allowed: 'a host name' },
    group: 'Nodes',
    roles: SIDECAR,
  },
  nodeConnectTimeoutMs: {
    kind: 'duration',
    default: 1_000,
    min: 1,
    max: 60_000,
    description: 'How long connecting to a node may take.',
    group: 'Nodes',
    roles: SIDECAR,
  },
  affinity: {
    kind: 'list',
    default: AFFINITY,
    placeholder: 'ATTRIBUTE,…',
    description:
      'Requests with the same values of these attributes ask the same node, which has the answers of all of them then; request.headers[x-user] is an entry of a map.',
    group: 'Nodes',
    roles: SIDECAR,
  },
  tenant: {
    kind: 'text',
    default: 'destination.namespace',
    placeholder: 'ATTRIBUTE',
    description: 'What tenants are told apart by, each of which reaches a part of the nodes (--nodes-per-tenant).',
    group: 'Nodes',
    roles: SIDECAR,
  },
  nodesPerTenant: {
    kind: 'integer',
    default: 0,
    min: 0,
    max: 1_000,
    description: 'Nodes that the requests of one tenant can reach; 0: all.',
    group: 'Nodes',
    roles: SIDECAR,
  },
  l1Entries: {
    kind: 'integer',
    default: 10_000,
    min: 1,
    max: 10_000_000,
    description: 'Bound on the answers that are kept.',
    group: 'Cache',
    roles: SIDECAR,
  },
  l1Bytes: {
    kind: 'bytes',
    default: 16 * MIB,
    min: 64 * 1024,
    description: 'Bound on the memory of the answers that are kept.',
    group: 'Cache',
    roles: SIDECAR,
  },
  l1RefreshRate: {
    kind: 'integer',
    default: 50,
    min: 0,
    max: 1_000_000,
    description: 'Answers that are asked for again before they end, per second; 0 switches it off.',
    group: 'Cache',
    roles: SIDECAR,
  },
  reportBufferBytes: {
    kind: 'bytes',
    default: 16 * MIB,
    min: 64 * 1024,
    description:
      'What reports may take on their way to nodes; beyond it the oldest give way, access logs first, and nodes hear how many.',
    group: 'Reports',
    roles: SIDECAR,
  },
} as const satisfies Readonly<Record<string, SettingSpec>>
