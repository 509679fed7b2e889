// Puts a client together: its nodes, what it keeps of their answers, and what it reports to them.

import { hostname } from 'node:os'
import type { ConnectionOptions } from 'node:tls'
import { createBatchIds } from '../../kernel/batch-ids.ts'
import { IntermixError } from '../../kernel/errors.ts'
import type { Clock, Logger, Random } from '../../kernel/ports.ts'
import { systemClock, systemRandom } from '../../kernel/system-clock.ts'
import { attributePath, DEFAULT_AFFINITY, DEFAULT_TENANT } from '../affinity.ts'
import { FirstLevelCheck } from '../first-level-check.ts'
import { nodeFaults } from '../nodes/node-faults.ts'
import { NodePool } from '../nodes/node-pool.ts'
import { readNodeSource } from '../nodes/node-sources.ts'
import { WatchedMembers } from '../nodes/watched-members.ts'
import { ReportBuffer } from '../reports/report-buffer.ts'
import { Client } from './client.ts'
import { withOwnQuestions } from './own-questions.ts'
import { RecordBatches } from './record-batches.ts'
import { StatsMeter } from './stats-meter.ts'

export interface ClientOptions {
  /** Where nodes are: `host:port`, `dns:name:port` for all addresses of a name, `srv:name`, `unix:/path`. */
  readonly nodes: readonly string[]
  /** Whether nodes that those tell of take the place of the list; false unless told. */
  readonly discover?: boolean
  /** What this process is called where nodes name it; the host and the process id unless told. */
  readonly name?: string
  /** For nodes that are reached over TLS. */
  readonly tls?: ConnectionOptions
  /** How long a check waits for nodes, in ms; a second unless told. */
  readonly timeoutMs?: number
  /** How long connecting to a node may take, in ms; a second unless told. */
  readonly connectTimeoutMs?: number
  /** Answers that are kept at most, and what they may take of memory: 10,000 and 16 MiB unless told. */
  readonly maxEntries?: number
  readonly maxBytes?: number
  /** Answers a second that are asked for again before they end; 50 unless told. */
  readonly refreshesPerSecond?: number
  /** Attributes by which requests go to the same node, such as `source.principal` or `request.headers[x-user]`. */
  readonly affinity?: readonly string[]
  /** The attribute that names a tenant; `destination.namespace` unless told. */
  readonly tenant?: string
  /** Nodes that the requests of one tenant reach at most; all unless told. */
  readonly nodesPerTenant?: number
  /** Memory for what is to be reported while nodes are away, in bytes; 16 MiB unless told. */
  readonly reportBufferBytes?: number
  /** Hears what goes wrong; nothing is written anywhere. */
  readonly onWarning?: (message: string, fields: object) => void
  /** Time and chance, for tests. */
  readonly clock?: Clock
  readonly random?: Random
}

const MIB = 1024 * 1024

/**
 * Creates a client of nodes, which it begins to look for at once.
 * @throws IntermixError INVALID_SETTING
 */
export function createClient(options: ClientOptions): Client {
  const { clock = systemClock, random = systemRandom, onWarning = () => undefined } = options
  const { timeoutMs = 1_000, connectTimeoutMs = 1_000, name = `${hostname()}/${process.pid}` } = options
  if (options.nodes.length === 0) throw new IntermixError('INVALID_SETTING', 'nodes: name one at least')
  const sources = options.nodes.map(readNodeSource)
  const { affinity = DEFAULT_AFFINITY, tenant = DEFAULT_TENANT } = options
  const choice = { affinity: affinity.map(attributePath), tenant: attributePath(tenant) }
  const log = new WarningLog(onWarning)
  const meter = new StatsMeter()
  const ports = { clock, random, log, meter }

  const { nodesPerTenant = 0, discover = false, tls } = options
  const nodes: NodePool = new NodePool({
    ...ports,
    connectTimeoutMs,
    nodesPerTenant,
    caller: name,
    onMembers: (told) => members.told(told),
    onRefused: nodeFaults(ports),
  })
  const members = new WatchedMembers({
    ...ports,
    sources,
    discover,
    tls,
    isHeard: () => nodes.isHeard,
    onMembers: (found) => nodes.setMembers(found),
  })
  const check = new FirstLevelCheck({
    ...ports,
    nodes: withOwnQuestions(nodes),
    revocations: nodes.revocations,
    choice,
    maxEntries: options.maxEntries ?? 10_000,
    maxBytes: options.maxBytes ?? 16 * MIB,
    refreshesPerSecond: options.refreshesPerSecond ?? 50,
  })
  nodes.tellOf(check)
  const ids = createBatchIds({ nodeId: name, clock, random })
  const buffer = new ReportBuffer({
    ...ports,
    nodes,
    ids,
    isSparable: () => false,
    maxBytes: options.reportBufferBytes ?? 16 * MIB,
  })
  const records = new RecordBatches({ reports: buffer, clock, nextBatchId: ids.next })
  void members.start()
  return new Client({
    clock,
    timeoutMs,
    onWarning,
    check,
    records,
    figures() {
      check.measure()
      return { ...meter.figures(), records_given_up_total: records.givenUp }
    },
    async close(deadlineMs) {
      records.flush()
      await Promise.all([check.close(), buffer.flush(deadlineMs)])
      members.stop()
      nodes[Symbol.dispose]()
    },
  })
}

/** Hands warnings and errors on; a program has a log of its own for the rest. */
class WarningLog implements Logger {
  readonly #onWarning: (message: string, fields: object) => void

  constructor(onWarning: (message: string, fields: object) => void) {
    this.#onWarning = onWarning
  }

  debug(): void {}

  info(): void {}

  warn(fields: object, message: string): void {
    this.#onWarning(message, fields)
  }

  error(fields: object, message: string): void {
    this.#onWarning(message, fields)
  }

  child(): Logger {
    return this
  }
}
