// The settings of the long-running roles, in one table: flags, environment variables, help and types come from it.

import { DEFAULT_MAX_STEPS } from '../expression/steps.ts'
import { PRIVATE_RANGES } from '../kernel/ip-range.ts'
import { DEFAULT_LIMITS } from '../kernel/request-limits.ts'
import { LOG_FORMATS, LOG_LEVELS } from '../observe/logger.ts'
import { PATH_AMBIGUITY_NAMES } from '../wire/ambiguity.ts'
import {
  ADMIN_TLS_SETTINGS,
  GRPC_TLS_SETTINGS,
  HTTP_TLS_SETTINGS,
  PROMETHEUS_TLS_SETTINGS,
} from './listener-tls-settings.ts'
import { REDIS_SETTINGS } from './redis-settings.ts'
import { REPORT_SETTINGS } from './report-settings.ts'
import { CONFIGURED, DECIDING, DRAINING, KIB, MIB, ROLES, SERVING, type SettingSpec } from './setting-spec.ts'
import { SIDECAR_SETTINGS } from './sidecar-settings.ts'

/** More than any machine has use for. */
const MAX_PROCESSES = 256
/** As `server/grpc-transport.ts` has them. */
const TRANSPORTS = ['native', 'grpc-js'] as const

/** As `server/rate-limit-response.ts` has them. */
const RATE_LIMIT_HEADERS = ['none', 'x-ratelimit', 'ratelimit'] as const

const REVOCATION_ACKS = ['recorded', 'replicated'] as const

export const SETTINGS = {
  ...SIDECAR_SETTINGS,
  config: {
    kind: 'path',
    required: true,
    placeholder: 'DIR|URL',
    description:
      'Folder with the config: rules, handlers, instances and manifests in YAML; or the URL of a Redis, to run what intermix rollout publishes there.',
    group: 'Config',
    roles: CONFIGURED,
  },
  configCache: {
    kind: 'path',
    placeholder: 'DIR',
    description:
      'Folder that keeps versions from --config redis://…, for starts without Redis and over a version that ends the process.',
    defaultText: 'none: a start needs Redis',
    group: 'Config',
    roles: CONFIGURED,
  },
  rolloutWebhook: {
    kind: 'url',
    isSecret: true,
    placeholder: 'URL',
    description: 'Is told each change of config rollouts, by whichever node has one (Standard Webhooks).',
    defaultText: 'none',
    group: 'Config',
    roles: DECIDING,
  },
  rolloutWebhookSecret: {
    kind: 'path',
    placeholder: 'FILE',
    description: 'File with the secret by which --rollout-webhook is signed, in base64.',
    defaultText: 'none: unsigned',
    group: 'Config',
    roles: DECIDING,
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
    roles: CONFIGURED,
  },
  requireRules: {
    kind: 'boolean',
    default: false,
    description: 'Refuse a config without rules, which allows everything; the last good one is kept.',
    group: 'Config',
    roles: CONFIGURED,
  },
  adapters: {
    kind: 'list',
    default: [],
    placeholder: 'MODULE,…',
    description: 'Modules with adapters of your own: file paths or package names.',
    group: 'Config',
    roles: CONFIGURED,
  },
  ratelimitConfig: {
    kind: 'path',
    placeholder: 'DIR',
    description:
      "Folder with rate limits by descriptors, in the format of envoyproxy/ratelimit, for Envoy's rate limit filter.",
    defaultText: 'only those that lie in --config',
    group: 'Config',
    roles: DECIDING,
  },
  ratelimitHeaders: {
    kind: 'choice',
    default: 'none',
    choices: RATE_LIMIT_HEADERS,
    description:
      'Response headers that the rate limit service has Envoy add: limit, remaining and reset of the nearest limit.',
    group: 'Config',
    roles: DECIDING,
  },
  ratelimitMetadata: {
    kind: 'boolean',
    default: false,
    description:
      'Dynamic metadata for Envoy in answers of the rate limit service: what was asked, and the metadata of limits that let it pass.',
    group: 'Config',
    roles: DECIDING,
  },
  rlqs: {
    kind: 'boolean',
    default: false,
    description: "Assign the limits of domains to Envoy's rate limit quota filter, too (RLQS; a preview).",
    group: 'Config',
    roles: DECIDING,
  },
  maxEvaluationSteps: {
    kind: 'integer',
    default: DEFAULT_MAX_STEPS,
    min: 1_000,
    max: 100_000_000,
    description:
      'Steps, of some 20 to 50 ns each, that one evaluation may take; all rules of a check may take ten times as many.',
    group: 'Config',
    roles: CONFIGURED,
  },
  grpcAddress: {
    kind: 'address',
    default: { host: '0.0.0.0', port: 9091 },
    defaults: { sidecar: { host: '127.0.0.1', port: 9091 } },
    sockets: true,
    placeholder: 'HOST:PORT|unix:PATH',
    description: 'Where the gRPC services listen: ext_authz, access logs, rate limits, Mixer v1, health.',
    group: 'Listeners',
    roles: SERVING,
  },
  advertiseAddress: {
    kind: 'text',
    placeholder: 'HOST:PORT',
    description:
      'Where sidecars reach the gRPC services of this node: nodes tell each other through Redis, and sidecars that want to know (--nodes-discover).',
    defaultText: 'nobody is told',
    pattern: {
      regex: /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})):[1-9]\d{0,4}$/,
      allowed: 'HOST:PORT, such as 10.0.0.1:9091 or [fd00::1]:9091',
    },
    group: 'Listeners',
    roles: DECIDING,
  },
  transport: {
    kind: 'choice',
    default: 'native',
    choices: TRANSPORTS,
    description:
      'What carries gRPC: HTTP/2 of our own, or grpc-js, which costs several times as much and has neither TLS nor Unix sockets.',
    group: 'Listeners',
    roles: DECIDING,
  },
  ...GRPC_TLS_SETTINGS,
  grpcMaxConnections: {
    kind: 'integer',
    default: 20_000,
    min: 1,
    max: 1_000_000,
    description: 'Bound on gRPC connections; one costs some 10 kB.',
    group: 'Listeners',
    roles: SERVING,
  },
  grpcMaxConnectionAgeMs: {
    kind: 'duration',
    default: 1_800_000,
    min: 0,
    description: 'Age at which gRPC clients are asked to connect anew, so that new nodes get their share; 0s: never.',
    group: 'Listeners',
    roles: DECIDING,
  },
  httpAddress: {
    kind: 'address',
    default: { host: '0.0.0.0', port: 8080 },
    // 8080 is for the service beside it.
    defaults: { sidecar: { host: '127.0.0.1', port: 9092 } },
    sockets: true,
    placeholder: 'HOST:PORT|unix:PATH',
    description: 'Where the HTTP API and forward-auth listen.',
    group: 'Listeners',
    roles: SERVING,
  },
  ...HTTP_TLS_SETTINGS,
  socketMode: {
    kind: 'text',
    placeholder: 'MODE',
    description: 'Who may connect to Unix sockets that are listened at, as an octal file mode such as 0660.',
    pattern: { regex: /^0?[0-7]{3}$/, allowed: 'an octal file mode, such as 0660' },
    defaultText: 'by the umask of the process',
    group: 'Listeners',
    roles: SERVING,
  },
  adminAddress: {
    kind: 'address',
    default: { host: '127.0.0.1', port: 15_014 },
    description: 'Where /metrics, /healthz, /readyz and /debug listen, and what explain and revoke ask of a node.',
    group: 'Listeners',
    roles: ROLES,
  },
  ...ADMIN_TLS_SETTINGS,
  adminHosts: {
    kind: 'list',
    default: [],
    placeholder: 'NAME,…',
    description:
      'Public names by which the admin port may be called; addresses and names of private networks always may.',
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
  ...PROMETHEUS_TLS_SETTINGS,
  trustForwarded: {
    kind: 'cidrs',
    default: PRIVATE_RANGES,
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
  maxHeaderBytes: {
    kind: 'bytes',
    default: 128 * KIB,
    min: 8 * KIB,
    max: 16 * MIB,
    description: 'Largest request line and headers over HTTP; what a proxy passes on must fit. Beyond it: 431.',
    group: 'Listeners',
    roles: SERVING,
  },
  maxMapEntries: {
    kind: 'integer',
    default: DEFAULT_LIMITS.maxMapEntries,
    min: 100,
    max: 100_000,
    description: 'Most entries of all maps of a request or record together, its headers among them.',
    group: 'Listeners',
    roles: SERVING,
  },
  maxAttributeBytes: {
    kind: 'bytes',
    default: DEFAULT_LIMITS.maxAttributeBytes,
    min: 8 * KIB,
    max: 64 * MIB,
    description: 'Most bytes of the attributes of a request, encoded, without its body.',
    group: 'Listeners',
    roles: SERVING,
  },
  ...REDIS_SETTINGS,
  partitionMaxAgeMs: {
    kind: 'duration',
    default: 30_000,
    min: 0,
    description: 'How old a cached verdict may be while the node is out of touch with Redis.',
    group: 'Redis',
    roles: DECIDING,
  },
  replicas: {
    kind: 'integer',
    default: 1,
    min: 1,
    max: 16,
    description:
      'Replicas of Redis that must have what is promised as replicated: reports (--report-ack) and revocations (--revocation-ack).',
    group: 'Redis',
    roles: CONFIGURED,
  },
  revocationAck: {
    kind: 'choice',
    default: 'recorded',
    choices: REVOCATION_ACKS,
    description:
      'When a revocation may be confirmed: recorded, once Redis and the nodes have it; replicated, once --replicas of that Redis have it, too.',
    group: 'Redis',
    roles: DECIDING,
  },
  maxInFlight: {
    kind: 'integer',
    default: 8_192,
    min: 1,
    max: 1_000_000,
    description: 'Bound on calls that are being answered; what comes beyond it is refused at once.',
    group: 'Checks',
    roles: SERVING,
    ofNode: true,
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
  requestSpelling: {
    kind: 'choice',
    default: 'normal',
    choices: ['normal', 'raw'],
    description: 'How rules see paths and hosts: in one spelling for all, or as they came, nothing refused.',
    group: 'Checks',
    roles: DECIDING,
  },
  allowAmbiguousPaths: {
    kind: 'list',
    default: [],
    choices: PATH_AMBIGUITY_NAMES,
    placeholder: 'KIND,…',
    description: `What a path may hold although servers read it differently: ${PATH_AMBIGUITY_NAMES.join(', ')}.`,
    defaultText: 'none: such requests are refused',
    group: 'Checks',
    roles: DECIDING,
  },
  cacheLocal: {
    kind: 'boolean',
    default: true,
    description: "The node's own verdict cache.",
    group: 'Checks',
    roles: DECIDING,
  },
  cacheMesh: {
    kind: 'boolean',
    default: true,
    description: 'The verdict cache in Redis that all nodes share.',
    group: 'Checks',
    roles: DECIDING,
  },
  cacheMemory: {
    kind: 'bytes',
    min: MIB,
    description:
      "Memory of the node's own cache, which it divides between whole answers and handlers by what it saves in each.",
    defaultText: 'a quarter of what the heap and the container allow',
    group: 'Checks',
    roles: DECIDING,
    ofNode: true,
  },
  cacheMoneyTime: {
    kind: 'duration',
    default: 600_000,
    max: 86_400_000,
    description: 'Waiting that one unit of the costPerCall of handlers is worth, where memory is divided.',
    group: 'Checks',
    roles: DECIDING,
  },
  cacheMaxEntries: {
    kind: 'integer',
    default: 200_000,
    min: 1,
    max: 50_000_000,
    description:
      "Fixed bound on the verdicts in the node's own cache, half of them whole answers, in place of --cache-memory.",
    defaultText: 'none; with --cache-max-bytes 200000',
    group: 'Checks',
    roles: DECIDING,
    ofNode: true,
  },
  cacheMaxBytes: {
    kind: 'bytes',
    default: 128 * MIB,
    min: MIB,
    description: "Fixed bound on the memory of the node's own cache, in place of --cache-memory.",
    defaultText: 'none; with --cache-max-entries 128MiB',
    group: 'Checks',
    roles: DECIDING,
    ofNode: true,
  },
  cacheRefreshRate: {
    kind: 'integer',
    default: 200,
    min: 0,
    max: 1_000_000,
    description: 'Verdicts of one handler that are refreshed ahead of need, per second; 0 switches it off.',
    group: 'Checks',
    roles: DECIDING,
    ofNode: true,
  },
  ...REPORT_SETTINGS,
  processes: {
    kind: 'processes',
    default: 1,
    min: 1,
    max: MAX_PROCESSES,
    description:
      'Processes that serve, on the same ports; auto: one for each core. Bounds on cache, calls in flight and held reports are of all together.',
    group: 'Process',
    roles: DECIDING,
  },
  nodeId: {
    kind: 'text',
    placeholder: 'NAME',
    description:
      'Name of this process, different from that of every other, by which revoke and ledger call it; of several processes of a node each adds its number.',
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
  lameDuckMs: {
    kind: 'duration',
    default: 0,
    min: 0,
    max: 600_000,
    description: 'How long to serve on after SIGTERM, not ready any more, until callers have noticed.',
    group: 'Process',
    roles: SERVING,
  },
  shutdownTimeoutMs: {
    kind: 'duration',
    default: 10_000,
    min: 0,
    description: 'How long to finish what is in flight after SIGTERM (of a node, after its lame duck).',
    group: 'Process',
    roles: ROLES,
  },
} as const satisfies Readonly<Record<string, SettingSpec>>
