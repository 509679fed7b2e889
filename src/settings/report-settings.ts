// The settings of reports: how they are taken, held and delivered.

import { DEFAULT_REPORT_ACKS, REPORT_ACKS, REPORT_DOORS } from '../kernel/services.ts'
import { CONFIGURED, DECIDING, DRAINING, GIB, MIB, SERVING, type SettingSpec } from './setting-spec.ts'

const REPORT_ACK_CHOICES = REPORT_ACKS.flatMap((ack) => [ack, ...REPORT_DOORS.map((door) => `${door}=${ack}`)])

/** As `telemetry/queue-shards.ts` has it. */
const MAX_QUEUE_SHARDS = 24

/** As `telemetry/spool/disk-spool.ts` has them. */
const SPOOL_FSYNCS = ['always', 'interval', 'never'] as const

export const REPORT_SETTINGS = {
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
    default: 500,
    min: 1,
    max: 100_000,
    description: 'Reports that are put together into one batch.',
    group: 'Reports',
    roles: DECIDING,
  },
  reportBatchMaxTimeMs: {
    kind: 'duration',
    default: 200,
    min: 1,
    max: 60_000,
    description: 'How long a batch waits for more reports.',
    group: 'Reports',
    roles: DECIDING,
  },
  reportAck: {
    kind: 'list',
    default: [],
    choices: REPORT_ACK_CHOICES,
    placeholder: '[DOOR=]ACK,…',
    description: `When a report counts as accepted: memory, once this process has it; queued, once Redis or the disk has it (at a sidecar: a node); replicated, once --replicas of that Redis have it, too. For all doors, or for one (${REPORT_DOORS.join(', ')}).`,
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
    roles: DECIDING,
  },
  spoolDiskMaxBytes: {
    kind: 'bytes',
    default: GIB,
    min: MIB,
    description: 'Bound on the files in --spool-dir; beyond it reports are held in memory, then refused.',
    group: 'Reports',
    roles: DECIDING,
    ofNode: true,
  },
  spoolFsync: {
    kind: 'choice',
    default: 'always',
    choices: SPOOL_FSYNCS,
    description:
      'When --spool-dir is synced: always before a report counts as accepted; interval (each second) and never survive a crash of the process, not one of the machine.',
    group: 'Reports',
    roles: DECIDING,
  },
  spoolMaxBytes: {
    kind: 'bytes',
    default: 64 * MIB,
    min: MIB,
    description: 'Bound on reports held in memory; beyond it they are refused, access logs at 80% of it.',
    group: 'Reports',
    roles: DECIDING,
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
  reportQueueShards: {
    kind: 'integer',
    min: 1,
    max: MAX_QUEUE_SHARDS,
    description:
      'Parts that each report queue is cut into, so that it can use as many masters of a Redis Cluster. Each costs a worker a connection.',
    defaultText: '3 on a Redis Cluster, else 1',
    group: 'Reports',
    roles: CONFIGURED,
  },
  deadLettersMaxBytes: {
    kind: 'bytes',
    min: MIB,
    description: 'What all dead letters may take in Redis; beyond it the oldest are dropped and counted.',
    defaultText: '8 % of the memory of Redis; 64 MB where that has no limit',
    group: 'Reports',
    roles: DRAINING,
  },
} as const satisfies Readonly<Record<string, SettingSpec>>
