// The settings of the long-running roles, in one table: flags, environment variables, help and types come from it.

import { DEFAULT_MAX_STEPS } from '../expression/steps.ts'
import { PRIVATE_RANGES } from '../kernel/ip-range.ts'
import { DEFAULT_LIMITS } from '../kernel/request-limits.ts'
import { DEFAULT_REPORT_ACKS, REPORT_ACKS, REPORT_DOORS } from '../kernel/services.ts'
import { LOG_FORMATS, LOG_LEVELS } from '../observe/logger.ts'
import { PATH_AMBIGUITY_NAMES } from '../wire/ambiguity.ts'
import type { OptionSpec } from './options.ts'

/** What a process can be: `all` is node and worker in one. */
export const ROLES = ['node', 'worker', 'all'] as const
export type Role = (typeof ROLES)[number]

export interface SettingSpec extends OptionSpec {
  readonly roles: readonly Role[]
  readonly group: string
  /** A bound of the whole node, of which each of its processes has its part. */
  readonly ofNode?: true
}

const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB
const SERVING: readonly Role[] = ['node', 'all']
const DRAINING: readonly Role[] = ['worker', 'all']
/** More than any machine has use for. */
const MAX_PROCESSES = 256
/** As `server/grpc-transport.ts` has them. */
const TRANSPORTS = ['native', 'grpc-js'] as const

const REPORT_ACK_CHOICES = REPORT_ACKS.flatMap((ack) => [ack, ...REPORT_DOORS.map((door) => `${door}=${ack}`)])

/** As `telemetry/spool/disk-spool.ts` has them. */
const SPOOL_FSYNCS = ['always', 'interval', 'never'] as const

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
  requireRules: {
    kind: 'boolean',
    default: false,
    description: 'Refuse a config without rules, which allows everything; the last good one is kept.',
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
  maxEvaluationSteps: {
    kind: 'integer',
    default: DEFAULT_MAX_STEPS,
    min: 1_000,
    max: 100_000_000,
    description:
      'Steps, of some 20 to 50 ns each, that one evaluation may take; all rules of a check may take ten times as many.',
    group: 'Config',
    roles: ROLES,
  },
  grpcAddress: {
    kind: 'address',
    default: { host: '0.0.0.0', port: 9091 },
    sockets: true,
    placeholder: 'HOST:PORT|unix:PATH',
    description: 'Where the gRPC services listen: ext_authz, access logs, Mixer v1, health.',
    group: 'Listeners',
    roles: SERVING,
  },
  transport: {
    kind: 'choice',
    default: 'native',
    choices: TRANSPORTS,
    description:
      'What carries gRPC: HTTP/2 of our own, or grpc-js, which costs several times as much and has neither TLS nor Unix sockets.',
    group: 'Listeners',
    roles: SERVING,
  },
  grpcTlsCert: {
    kind: 'path',
    placeholder: 'FILE',
    description: 'Certificate for gRPC, with its chain, in PEM; read again when it changes.',
    defaultText: 'no TLS',
    group: 'Listeners',
    roles: SERVING,
  },
  grpcTlsKey: {
    kind: 'path',
    placeholder: 'FILE',
    description: 'Key of the certificate for gRPC, in PEM.',
    defaultText: 'no TLS',
    group: 'Listeners',
    roles: SERVING,
  },
  grpcTlsClientCa: {
    kind: 'path',
    placeholder: 'FILE',
    description: 'Authorities in PEM: only clients with a certificate of theirs may call over gRPC (mTLS).',
    defaultText: 'any client',
    group: 'Listeners',
    roles: SERVING,
  },
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
    description: 'Where /metrics, /healthz, /readyz and /debug listen, and what explain and revoke ask.',
    group: 'Listeners',
    roles: ROLES,
  },
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
  mesh: {
    kind: 'text',
    placeholder: 'NAME',
    description:
      'Name of the installation that nodes and workers belong to: several may share a Redis and its prefix, and never take reports of each other.',
    defaultText: 'none: one installation for a prefix',
    pattern: { regex: /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/, allowed: '1 to 32 lower-case letters, digits and -' },
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
    roles: SERVING,
  },
  allowAmbiguousPaths: {
    kind: 'list',
    default: [],
    choices: PATH_AMBIGUITY_NAMES,
    placeholder: 'KIND,…',
    description: `What a path may hold although servers read it differently: ${PATH_AMBIGUITY_NAMES.join(', ')}.`,
    defaultText: 'none: such requests are refused',
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
    default: 200_000,
    min: 1,
    max: 50_000_000,
    description: "Bound on the verdicts in the node's own cache: half of them whole answers, half of single handlers.",
    group: 'Checks',
    roles: SERVING,
    ofNode: true,
  },
  cacheMaxBytes: {
    kind: 'bytes',
    default: 128 * MIB,
    min: MIB,
    description: "Bound on the memory of the node's own cache.",
    group: 'Checks',
    roles: SERVING,
    ofNode: true,
  },
  cacheRefreshRate: {
    kind: 'integer',
    default: 200,
    min: 0,
    max: 1_000_000,
    description: 'Verdicts of one handler that are refreshed ahead of need, per second; 0 switches it off.',
    group: 'Checks',
    roles: SERVING,
    ofNode: true,
  },
  handlers: {
    kind: 'list',
    default: [],
    placeholder: 'NAME,…',
    description:
      'Handlers that this worker delivers reports to, in full or by their names alone; the others it leaves.',
    defaultText: 'all of the config',
    group: 'Reports',
    roles: ['worker'],
  },
  fanOut: {
    kind: 'boolean',
    default: false,
    description: 'Beside --handlers: evaluate reports for all handlers, too. Without --handlers a worker always does.',
    group: 'Reports',
    roles: ['worker'],
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
  reportAck: {
    kind: 'list',
    default: [],
    choices: REPORT_ACK_CHOICES,
    placeholder: '[DOOR=]ACK,…',
    description: `When a report counts as accepted: memory, once the node has it; queued, once Redis or the disk has it. For all doors, or for one (${REPORT_DOORS.join(', ')}).`,
    defaultText: REPORT_DOORS.map((door) => `${door}=${DEFAULT_REPORT_ACKS[door]}`).join(','),
    group: 'Reports',
    roles: SERVING,
  },
  spoolDir: {
    kind: 'path',
    placeholder: 'DIR',
    description:
      'Folder for reports that Redis does not take at once; they outlive the process there, and the next one hands them on.',
    defaultText: 'in memory',
    group: 'Reports',
    roles: SERVING,
  },
  spoolDiskMaxBytes: {
    kind: 'bytes',
    default: GIB,
    min: MIB,
    description: 'Bound on the files in --spool-dir; beyond it reports are held in memory, then refused.',
    group: 'Reports',
    roles: SERVING,
    ofNode: true,
  },
  spoolFsync: {
    kind: 'choice',
    default: 'always',
    choices: SPOOL_FSYNCS,
    description:
      'When --spool-dir is synced: always before a report counts as accepted; interval (each second) and never survive a crash of the process, not one of the machine.',
    group: 'Reports',
    roles: SERVING,
  },
  spoolMaxBytes: {
    kind: 'bytes',
    default: 64 * MIB,
    min: MIB,
    description: 'Bound on reports held in memory; beyond it they are refused, access logs at 80% of it.',
    group: 'Reports',
    roles: SERVING,
    ofNode: true,
  },
  handlerQueueMaxBytes: {
    kind: 'bytes',
    min: MIB,
    description:
      'What the reports of one handler may take in the queue while its backend takes none; beyond it they are dropped and counted.',
    defaultText: 'a quarter of the memory of Redis; 256 MB where that has no limit',
    group: 'Reports',
    roles: DRAINING,
  },
  deadLettersMaxBytes: {
    kind: 'bytes',
    min: MIB,
    description: 'What all dead letters may take in Redis; beyond it the oldest are dropped and counted.',
    defaultText: '8 % of the memory of Redis; 64 MB where that has no limit',
    group: 'Reports',
    roles: DRAINING,
  },
  processes: {
    kind: 'processes',
    default: 1,
    min: 1,
    max: MAX_PROCESSES,
    description:
      'Processes that serve, on the same ports; auto: one for each core. Bounds on cache, calls in flight and held reports are of all together.',
    group: 'Process',
    roles: SERVING,
  },
  nodeId: {
    kind: 'text',
    placeholder: 'NAME',
    description: 'Name of this node, different from that of every other; of several processes each adds its number.',
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
