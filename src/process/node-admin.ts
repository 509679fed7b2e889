// The admin port of a node of several processes: one answer for all of them.

import type { OperationReply } from '../kernel/operation.ts'
import type { Clock } from '../kernel/ports.ts'
import { type AdminServer, createAdminServer } from '../observe/admin-server.ts'
import { Health } from '../observe/health.ts'
import type { LogLevel, RootLogger } from '../observe/logger.ts'
import type { PrometheusMeter } from '../observe/meter.ts'
import type { Settings } from '../settings/settings.ts'
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

const HEALTH_MS = 250
/** A revocation waits some seconds for other nodes. */
const OPERATION_TIMEOUT_MS = 8_000

export class NodeAdmin {
  readonly #options: NodeAdminOptions
  readonly #health = new Health()
  readonly #views = new Map<string, () => unknown>()
  readonly #operations = new Map<string, (request: object) => Promise<OperationReply>>()
  readonly #server: AdminServer
  #cancel = () => {}

  constructor(options: NodeAdminOptions) {
    const { settings, processes, log, meter, version } = options
    const { role, nodeId: id, adminHosts: hosts } = settings
    this.#options = options
    this.#health.set('start', false, 'starting')
    this.#server = createAdminServer({
      meter: { contentType: meter.contentType, render: () => processes.renderMetrics() },
      health: this.#health,
      debug: this.#views,
      operations: this.#operations,
      hosts,
      log: commonLog(log, (level) => processes.tell(LOG_LEVEL, level)),
      version: { version, node: process.version, role, id, processes: String(settings.processes) },
    })
  }

  async listen(): Promise<string> {
    this.#followHealth()
    return await this.#server.listen(this.#options.settings.adminAddress)
  }

  /** Ready from now on, as long as a process serves. */
  ready(): void {
    this.#showHealth()
    this.#health.set('start', true, 'started')
  }

  retire(): void {
    this.#health.set('start', false, 'shutting down')
  }

  async close(): Promise<void> {
    this.#cancel()
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
    const views = [...answers].map(([process, text]) => [process.name, text && JSON.parse(text as string)] as const)
    return { processes: Object.fromEntries(views), silent: silent.map((process) => process.name) }
  }

  /** Ready while one serves: the others are being started again, and connections go to those that serve. */
  #showHealth(): void {
    const { all } = this.#options.processes
    const serving = all.filter(({ state }) => state === 'serving')
    this.#health.set('processes', serving.length > 0, `${serving.length} of ${all.length} serve`)
    for (const { number, pid, state, health, failure = '' } of all) {
      const parts = health?.checks
        .filter(({ name }) => name !== 'start')
        .map(({ name, detail }) => `${name}: ${detail}`)
      const who = pid === undefined ? state : `${state}, pid ${pid}`
      this.#health.set(
        `process ${number}`,
        true,
        [who, ...(parts ?? [failure])].filter((part) => part !== '').join('; '),
      )
    }
  }

  #followHealth(): void {
    this.#showHealth()
    this.#cancel = this.#options.clock.after(HEALTH_MS, () => this.#followHealth())
  }
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
