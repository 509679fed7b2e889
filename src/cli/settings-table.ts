// The settings of the long-running roles, in one table: flags, environment variables, help and types come from it.

import { LOG_FORMATS, LOG_LEVELS } from '../observe/logger.ts'
import type { OptionSpec } from './options.ts'

/** What a process can be: `all` is node and worker in one. */
export const ROLES = ['node', 'worker', 'all'] as const
export type Role = (typeof ROLES)[number]

export interface SettingSpec extends OptionSpec {
  readonly roles: readonly Role[]
  readonly group: string
}

const MIB = 1024 * 1024
const SERVING: readonly Role[] = ['node', 'all']
const DRAINING: readonly Role[] = ['worker', 'all']

export const SETTINGS = {
  config: {
    kind: 'path',
    required: true,
    placeholder: 'DIR',
    description: 'Folder with the config: rules, handlers, instances and manifests in YAML.',
    group: 'Config',
    roles: ROLES,
  },
  defaultNamespace: {
    kind: 'text',
    default: 'istio-system',
    placeholder: 'NAME',
    description: 'Namespace whose rules apply to every request.',
    pattern: {
      regex: /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
      allowed: 'a namespace: lower-case letters, digits and -',
    },
    group: 'Config',
    roles: ROLES,
  },
  adapters: {
    kind: 'list',
    default: [],
    placeholder: 'MODULE,…',
    description: 'Modules with adapters of your own: file paths or package names.',
    group: 'Config',
    roles: ROLES,
  },
  grpcAddress: {
    kind: 'address',
    default: { host: '0.0.0.0', port: 9091 },
    description: 'Where the gRPC services listen: ext_authz, access logs, Mixer v1, health.',
    group: 'Listeners',
    roles: SERVING,
  },
  httpAddress: {
    kind: 'address',
    default: { host: '0.0.0.0', port: 8080 },
    description: 'Where the HTTP API and forward-auth listen.',
    group: 'Listeners',
    roles: SERVING,
  },
  adminAddress: {
    kind: 'address',
    default: { host: '127.0.0.1', port: 15_014 },
    description: 'Where /metrics, /healthz, /readyz and /debug listen.',
    group: 'Listeners',
    roles: ROLES,
  },
  prometheusAddress: {
    kind: 'address',
    default: { host: '0.0.0.0', port: 42_422 },
    description: 'Where the metrics listen that adapters make of reports.',
    group: 'Listeners',
    roles: DRAINING,
  },
  trustForwarded: {
    kind: 'cidrs',
    default: ['127.0.0.0/8', '::1/128', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
    description: 'Proxies whose X-Forwarded-* headers are believed; loopback and private networks by default.',
    group: 'Listeners',
    roles: SERVING,
  },
  maxMessageSize: {
    kind: 'bytes',
    default: 4 * MIB,
    min: 1024,
    max: 256 * MIB,
    description: 'Largest request body or gRPC message.',
    group: 'Listeners',
    roles: SERVING,
  },
  redis: {
    kind: 'redis',
    placeholder: 'URL|none',
    description:
      'One Redis for everything. none: go without, with in-process tiers only. rediss:// speaks TLS; NODE_EXTRA_CA_CERTS=FILE names an authority of your own.',
    defaultText: 'all: a private redis-server where there is one; node and worker: must be given',
    group: 'Redis',
    roles: ROLES,
  },
  cacheRedis: {
    kind: 'redis',
    placeholder: 'URL|none',
    description: 'Redis for verdicts (allkeys-lru, no persistence), apart from the queue.',
    defaultText: '--redis',
    group: 'Redis',
    roles: ROLES,
  },
  queueRedis: {
    kind: 'redis',
    placeholder: 'URL|none',
    description: 'Redis for report queues and quotas (noeviction, appendonly).',
    defaultText: '--redis',
    group: 'Redis',
    roles: ROLES,
  },
  redisPrefix: {
    kind: 'text',
    default: 'intermix',
    placeholder: 'NAME',
    description: 'What the keys in Redis begin with; nodes that share answers have the same.',
    pattern: { regex: /^[A-Za-z0-9_-]{1,64}$/, allowed: '1 to 64 letters, digits, - or _' },
    group: 'Redis',
    roles: ROLES,
  },
  redisTimeoutMs: {
    kind: 'duration',
    default: 50,
    min: 1,
    max: 10_000,
    description: 'How long a check waits for Redis before it goes on without.',
    group: 'Redis',
    roles: ROLES,
  },
  partitionMaxAgeMs: {
    kind: 'duration',
    default: 30_000,
    min: 0,
    description: 'How old a cached verdict may be while the node is out of touch with Redis.',
    group: 'Redis',
    roles: SERVING,
  },
  checkTimeoutMs: {
    kind: 'duration',
    default: 1_000,
    min: 1,
    max: 60_000,
    description: 'Longest time for a check whose caller gives no deadline.',
    group: 'Checks',
    roles: SERVING,
  },
  cacheLocal: {
    kind: 'boolean',
    default: true,
    description: "The node's own verdict cache.",
    group: 'Checks',
    roles: SERVING,
  },
  cacheMesh: {
    kind: 'boolean',
    default: true,
    description: 'The verdict cache in Redis that all nodes share.',
    group: 'Checks',
    roles: SERVING,
  },
  cacheMaxEntries: {
    kind: 'integer',
    default: 100_000,
    min: 1,
    max: 50_000_000,
    description: "Bound on the verdicts in the node's own cache.",
    group: 'Checks',
    roles: SERVING,
  },
  cacheMaxBytes: {
    kind: 'bytes',
    default: 128 * MIB,
    min: MIB,
    description: "Bound on the memory of the node's own cache.",
    group: 'Checks',
    roles: SERVING,
  },
  cacheRefreshRate: {
    kind: 'integer',
    default: 200,
    min: 0,
    max: 1_000_000,
    description: 'Verdicts of one handler that are refreshed ahead of need, per second; 0 switches it off.',
    group: 'Checks',
    roles: SERVING,
  },
  reportBatchMaxEntries: {
    kind: 'integer',
    default: 100,
    min: 1,
    max: 100_000,
    description: 'Reports that are put together into one batch.',
    group: 'Reports',
    roles: SERVING,
  },
  reportBatchMaxTimeMs: {
    kind: 'duration',
    default: 200,
    min: 1,
    max: 60_000,
    description: 'How long a batch waits for more reports.',
    group: 'Reports',
    roles: SERVING,
  },
  spoolDir: {
    kind: 'path',
    placeholder: 'DIR',
    description: 'Folder for reports that Redis does not take; they outlive the process there.',
    defaultText: 'in memory',
    group: 'Reports',
    roles: SERVING,
  },
  spoolMaxBytes: {
    kind: 'bytes',
    default: 64 * MIB,
    min: MIB,
    description: 'Bound on reports held while Redis is away; beyond it they are dropped and counted.',
    group: 'Reports',
    roles: SERVING,
  },
  nodeId: {
    kind: 'text',
    placeholder: 'NAME',
    description: 'Name of this process, different from that of every other.',
    pattern: { regex: /^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/, allowed: '1 to 63 letters, digits and -, not - first' },
    defaultText: 'host name and a random suffix',
    group: 'Process',
    roles: ROLES,
  },
  logFormat: {
    kind: 'choice',
    default: 'auto',
    choices: LOG_FORMATS,
    description: 'auto is pretty on a terminal and JSON elsewhere.',
    group: 'Process',
    roles: ROLES,
  },
  logLevel: {
    kind: 'choice',
    default: 'info',
    choices: LOG_LEVELS,
    description: 'Can be changed while running: PUT /debug/log-level.',
    group: 'Process',
    roles: ROLES,
  },
  shutdownTimeoutMs: {
    kind: 'duration',
    default: 10_000,
    min: 0,
    description: 'How long to finish what is in flight after SIGTERM.',
    group: 'Process',
    roles: ROLES,
  },
} as const satisfies Readonly<Record<string, SettingSpec>>
