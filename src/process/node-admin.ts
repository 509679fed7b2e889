// The admin port of a node of several processes: one answer for all of them.

import type { OperationReply } from '../kernel/operation.ts'
import type { Clock } from '../kernel/ports.ts'
import { parseJson } from '../kernel/parse-json.ts'
import type { AdminServer } from '../observe/admin-server.ts'
import { createFastifyAdmin } from '../observe/fastify-admin.ts'
import type { Health, HealthCheck } from '../observe/health.ts'
import type { LogLevel, RootLogger } from '../observe/logger.ts'
import type { PrometheusMeter } from '../observe/meter.ts'
import type { Settings } from '../settings/settings.ts'
import { adminTls } from './listener-files.ts'
import type { NodeProcess } from './node-process.ts'
import type { NodeProcesses } from './node-processes.ts'
import { type Announcement, LOG_LEVEL, OPERATION, VIEW } from './process-messages.ts'

export interface NodeAdminOptions {
  readonly settings: Settings
  readonly processes: NodeProcesses
  readonly clock: Clock
  readonly log: RootLogger
  readonly meter: PrometheusMeter
  readonly version: string
}

/** A revocation waits some seconds for other nodes. */
const OPERATION_TIMEOUT_MS = 8_000

export class NodeAdmin {
  readonly #options: NodeAdminOptions
  readonly #health: NodeHealth
  readonly #views = new Map<string, () => unknown>()
  readonly #operations = new Map<string, (request: object) => Promise<OperationReply>>()
  readonly #server: AdminServer

  constructor(options: NodeAdminOptions) {
    const { settings, processes, clock, log, meter, version } = options
    const { role, nodeId: id, adminHosts: hosts } = settings
    this.#options = options
    this.#health = new NodeHealth(processes)
    this.#server = createFastifyAdmin({
      meter: { contentType: meter.contentType, render: () => processes.renderMetrics() },
      health: this.#health,
      debug: this.#views,
      operations: this.#operations,
      hosts,
      log: commonLog(log, (level) => processes.tell(LOG_LEVEL, level)),
      tls: adminTls(settings, { clock, log, meter }),
      version: { version, node: process.version, role, id, processes: String(settings.processes) },
    })
  }

  async listen(): Promise<string> {
    return await this.#server.listen(this.#options.settings.adminAddress)
  }

  /** Ready from now on, as long as a process serves. */
  ready(): void {
    this.#health.waitsFor = undefined
  }

  retire(): void {
    this.#health.waitsFor = 'shutting down'
  }

  async close(): Promise<void> {
    await this.#server.close()
  }

  /** Takes up what a process offers, and tells it what was changed meanwhile. */
  take(process: NodeProcess, { views, operations }: Announcement): void {
    for (const view of views) this.#views.set(view, () => this.#view(view))
    for (const name of operations) {
      this.#operations.set(name, async (request) => {
        const asked = { ...request, name }
        return (await this.#options.processes.askOne(OPERATION, asked, OPERATION_TIMEOUT_MS)) as OperationReply
      })
    }
    process.tell(LOG_LEVEL, this.#options.log.level)
  }

  async #view(name: string): Promise<object> {
    const { answers, silent } = await this.#options.processes.ask(VIEW, name)
    const views = [...answers].map(([process, text]) => [process.name, text && parseJson(text as string)] as const)
    return { processes: Object.fromEntries(views), silent: silent.map((process) => process.name) }
  }
}

/**
 * Ready once each process has had its first start, and while one serves: the others are being started again, and connections
 * go to those that serve.
 */
class NodeHealth implements Pick<Health, 'ready' | 'checks'> {
  /** Set where the node as a whole is not ready. */
  waitsFor: string | undefined = 'starting'
  readonly #processes: NodeProcesses

  constructor(processes: NodeProcesses) {
    this.#processes = processes
  }

  get ready(): boolean {
    return this.checks().every(({ ok }) => ok)
  }

  checks(): readonly HealthCheck[] {
    const { all } = this.#processes
    const serving = all.filter(({ state }) => state === 'serving').length
    return [
      { name: 'start', ok: this.waitsFor === undefined, detail: this.waitsFor ?? 'started' },
      { name: 'processes', ok: serving > 0, detail: `${serving} of ${all.length} serve` },
      ...all.map((process) => ({ name: `process ${process.number}`, ok: true, detail: detailOf(process) })),
    ]
  }
}

function detailOf({ pid, state, health, failure = '' }: NodeProcess): string {
  const parts = health?.checks.filter(({ name }) => name !== 'start').map(({ name, detail }) => `${name}: ${detail}`)
  const who = pid === undefined ? state : `${state}, pid ${pid}`
  return [who, ...(parts ?? [failure])].filter((part) => part !== '').join('; ')
}

/** A log whose level is that of all processes. */
function commonLog(log: RootLogger, onLevel: (level: LogLevel) => void): RootLogger {
  return {
    get level() {
      return log.level
    },
    set level(level) {
      log.level = level
      onLevel(level)
    },
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
    fatal: (fields, message) => log.fatal(fields, message),
    child: (fields) => log.child(fields),
  }
}
