// What a sidecar is made of: the doors of a node before answers and reports that nodes give and take. It is apart from
// `compose.ts` because hardly anything of a node is loaded for it.

import { FirstLevelCheck } from '../client/first-level-check.ts'
import { nodeFaults } from '../client/nodes/node-faults.ts'
import { NodePool } from '../client/nodes/node-pool.ts'
import { RetoldRevocations } from '../client/nodes/retold-revocations.ts'
import { WatchedMembers } from '../client/nodes/watched-members.ts'
import { ReportBuffer } from '../client/reports/report-buffer.ts'
import { type BatchIds, createBatchIds } from '../kernel/batch-ids.ts'
import { within } from '../kernel/deadline.ts'
import { FIRST_LEVEL_NODES } from '../kernel/metrics/first-level.ts'
import type { Gauge } from '../kernel/ports.ts'
import { Admission } from '../server/admission.ts'
import { batchService } from '../server/batch-stream.ts'
import type { NodeNews } from '../server/caller-news.ts'
import type { CreateGrpcServer } from '../server/grpc-server.ts'
import { loadTransport } from '../server/grpc-transport.ts'
import { plainHost } from '../server/plain-host.ts'
import { createHttpServer } from '../server/http.ts'
import { PROXY_DOORS, withHealth } from '../server/proxy-doors.ts'
import { tlsFilesOf } from '../settings/listener-tls-settings.ts'
import type { Settings } from '../settings/settings.ts'
import { REPORT_FORMATS } from '../wire/report-formats.ts'
import { NodeReadiness } from '../sidecar/node-readiness.ts'
import { passedRateLimits } from '../sidecar/passed-rate-limits.ts'
import { passedReportCalls } from '../sidecar/passed-report-calls.ts'
import { RetoldNews } from '../sidecar/retold-news.ts'
import { grpcChoices } from './grpc-choices.ts'
import { type Door, door } from './listening-door.ts'
import { reportAcks } from './report-choices.ts'
import type { CreateProcess, ProcessPorts, RunningProcess, Started } from './running-process.ts'
import { sidecarChoices } from './sidecar-choices.ts'

/** How often it is looked whether nodes are there, and what is kept is measured. */
const LOOK_MS = 250

/** Builds a sidecar. Rejects with `IntermixError` where a setting cannot be used. */
export const createProcess: CreateProcess = async (_role, settings, ports) =>
  new Sidecar(settings, ports, await loadTransport('native'))

/**
 * Whoever asks a sidecar has nobody else to ask. A service beside it may take the processor for as long as a node would take for a
 * queue; most answers take microseconds, so that what has come meanwhile is soon worked off.
 */
const PATIENCE = { targetMs: 50, intervalMs: 500 }

class Sidecar implements RunningProcess {
  readonly debug: ReadonlyMap<string, () => unknown>
  readonly #settings: Settings
  readonly #ports: ProcessPorts
  readonly #nodes: NodePool
  readonly #members: WatchedMembers
  readonly #check: FirstLevelCheck
  readonly #reports: ReportBuffer
  readonly #batchIds: BatchIds
  readonly #admission: Admission
  readonly #doors: ReadonlyMap<string, Door>
  readonly #readiness: NodeReadiness
  readonly #nodeGauges: Readonly<Record<'known' | 'heard', Gauge>>
  #cancelLook = () => {}

  constructor(settings: Settings, ports: ProcessPorts, createGrpc: CreateGrpcServer) {
    const { clock, random, log, meter, loopLag } = ports
    this.#settings = settings
    this.#ports = ports
    this.#batchIds = createBatchIds({ nodeId: settings.nodeId, clock, random })
    const retold = new RetoldRevocations(clock, this.#batchIds.next())
    const news = new RetoldNews({ clock, retold, nodes: () => this.#nodes })
    this.#nodes = new NodePool({
      clock,
      random,
      connectTimeoutMs: settings.nodeConnectTimeoutMs,
      maxMessageBytes: settings.maxMessageSize,
      nodesPerTenant: settings.nodesPerTenant,
      caller: settings.nodeId,
      onMembers: (members) => this.#members.told(members),
      onNews: () => news.changed(),
      retelling: retold,
      onRefused: nodeFaults(ports),
    })
    const { sources, affinity, tenant, tls } = sidecarChoices(settings, log)
    this.#members = new WatchedMembers({
      sources,
      discover: settings.nodesDiscover,
      tls,
      clock,
      random,
      log,
      isHeard: () => this.#nodes.isHeard,
      onMembers: (members) => this.#nodes.setMembers(members),
    })
    this.#check = new FirstLevelCheck({
      nodes: this.#nodes,
      revocations: this.#nodes.revocations,
      clock,
      random,
      meter,
      maxEntries: settings.l1Entries,
      maxBytes: settings.l1Bytes,
      refreshesPerSecond: settings.l1RefreshRate,
      choice: { affinity, tenant },
      retold,
    })
    this.#nodes.tellOf(this.#check)
    this.#reports = new ReportBuffer({
      nodes: this.#nodes,
      clock,
      random,
      log,
      meter,
      ids: this.#batchIds,
      isSparable: (format) => REPORT_FORMATS.get(format)?.sparable === true,
      maxBytes: settings.reportBufferBytes,
    })
    const { maxInFlight } = settings
    this.#admission = new Admission({ clock, log, meter, loopLag, maxInFlight, patience: PATIENCE })
    this.#readiness = new NodeReadiness({ ...ports, nodes: this.#nodes })
    const nodes = meter.gauge(FIRST_LEVEL_NODES)
    this.#nodeGauges = { known: nodes({ state: 'known' }), heard: nodes({ state: 'heard' }) }
    this.#doors = this.#createDoors(createGrpc, news)
    this.debug = new Map<string, () => unknown>([
      ['admission', () => this.#admission.view()],
      ['reports', () => this.#reports.totals()],
      ['nodes', () => this.#nodes.view()],
    ])
  }

  async start(): Promise<Started> {
    void this.#members.start()
    this.#look()
    const addresses: Record<string, string> = {}
    for (const [name, listener] of this.#doors) addresses[name] = await listener.listen()
    return { addresses, facts: { nodes: this.#settings.nodes.join(', ') } }
  }

  retire(): void {
    for (const listener of this.#doors.values()) listener.retire()
  }

  async stop(deadlineMs: number): Promise<void> {
    const { clock } = this.#ports
    const endAt = clock.monotonic() + deadlineMs
    const left = () => Math.max(0, endAt - clock.monotonic())
    // Doors first, so that what they still take is handed on.
    await Promise.all([...this.#doors.values()].map((listener) => listener.drain(left() / 2)))
    await Promise.all([
      within(clock, left() / 2, this.#check.close(), () => undefined),
      this.#reports.flush(left() * 0.8),
    ])
    this.#cancelLook()
    this.#members.stop()
    this.#nodes[Symbol.dispose]()
  }

  readonly #look = (): void => {
    this.#check.measure()
    const { known, heard } = this.#nodes.counts
    this.#nodeGauges.known.set(known)
    this.#nodeGauges.heard.set(heard)
    this.#readiness.look()
    this.#cancelLook = this.#ports.clock.after(LOOK_MS, this.#look)
  }

  #createDoors(createGrpc: CreateGrpcServer, news: NodeNews): ReadonlyMap<string, Door> {
    const { clock, random, log, meter } = this.#ports
    const settings = this.#settings
    const { maxMessageSize, maxMapEntries, maxAttributeBytes, checkTimeoutMs: defaultTimeoutMs } = settings
    const limits = { maxMapEntries, maxAttributeBytes }
    const admission = this.#admission
    const { next: nextBatchId } = this.#batchIds
    const common = { clock, random, log, meter, admission, nextBatchId, defaultTimeoutMs, limits }
    const given = {
      ...common,
      check: this.#check,
      quotas: this.#check,
      report: this.#reports,
      reportAcks: reportAcks(settings.reportAck),
    }
    const passing = { ...common, nodes: this.#nodes }
    const proxies = PROXY_DOORS.map((create) => create(given))
    const filters = [batchService({ ...given, news }), passedReportCalls(passing)]
    const grpc = createGrpc({
      ...common,
      ...grpcChoices(settings),
      services: withHealth([...proxies, ...filters, passedRateLimits(passing)]),
      maxMessageBytes: maxMessageSize,
      // Nobody else could take the connections over.
      maxConnectionAgeMs: Number.POSITIVE_INFINITY,
    })
    const http = createHttpServer(
      {
        ...given,
        trustForwarded: settings.trustForwarded,
        maxBodyBytes: maxMessageSize,
        maxHeaderBytes: settings.maxHeaderBytes,
        tls: tlsFilesOf(settings, 'http'),
      },
      plainHost,
    )
    return new Map([
      ['grpc', door(grpc, settings.grpcAddress, settings)],
      ['http', door(http, settings.httpAddress, settings)],
    ])
  }
}
