// The life of a node or worker process: start, say so, wait for a signal, finish what is in flight, end.

import type { CreateProcess, RunningProcess, Started } from '../compose/running-process.ts'
import { BUILD_INFO } from '../kernel/metrics/process.ts'
import type { AdminServerOptions } from '../observe/admin-routes.ts'
import type { AdminServer, CreateAdminServer } from '../observe/admin-server.ts'
import { Health } from '../observe/health.ts'
import { createLogger, type RootLogger } from '../observe/logger.ts'
import { createLoopMonitor, type LoopMonitor } from '../observe/loop-lag.ts'
import { createMeter, type PrometheusMeter } from '../observe/meter.ts'
import { pause, within } from '../kernel/deadline.ts'
import type { Operation } from '../kernel/operation.ts'
import type { Clock, Logger, Random } from '../kernel/ports.ts'
import type { Siblings } from '../kernel/siblings.ts'
import type { EmbeddedRedis } from './embedded-redis.ts'
import type { LibraryLevel } from './library-output.ts'
import type { Settings } from '../settings/settings.ts'
import { adminTls, refuseBadListenerFiles } from './listener-files.ts'
import { startPrivateRedis, withPrivateRedis } from './private-redis.ts'
import { explainStartFailure } from './start-failure.ts'
import { startSummary } from './start-summary.ts'

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'

/** Why a process is to end: a signal, that who started it has ended without one, or that its node ends. */
export type StopCause = StopSignal | 'launcher gone' | 'node ends'

/** The process around a role, as main has it. */
export interface RoleHost extends ProcessHost {
  readonly createProcess: CreateProcess
  /** In place of the summary on standard output. */
  readonly announce?: (started: Started) => void
  /** In place of a port of its own. */
  readonly createAdmin?: (options: AdminServerOptions & { readonly meter: PrometheusMeter }) => AdminServer
  readonly siblings?: Siblings
}

/** What every long-running process of ours needs of the outside world. */
export interface ProcessHost {
  readonly clock: Clock
  readonly random: Random
  readonly version: string
  /** Directories in which to look for programs, as in PATH. */
  readonly searchPath: string
  /** Whether standard output is a terminal. */
  readonly terminal: boolean
  /** Writes to standard output, synchronously. */
  write(text: string): void
  /** Writes a line to standard error. */
  err(text: string): void
  onSignal(listener: (cause: StopCause) => void): void
  /** Hears of exceptions and rejections that nobody handled. */
  onCrash(listener: (error: unknown) => void): void
  /** Hears what libraries write past the logger. */
  onLibraryOutput(listener: (level: LibraryLevel, text: string) => void): void
  /** Ends the process at once. */
  exit(code: number): void
}

const SIGNAL_CODES: Readonly<Record<StopSignal, number>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 }

/** A terminal and the wrappers around us (npm, our own launcher) each deliver the one Ctrl-C. */
const SAME_SIGNAL_MS = 500

/** Distinct texts of libraries that are told at their own level. */
const MAX_LIBRARY_TEXTS = 100
const MAX_LIBRARY_TEXT = 4_096

/** The part of --shutdown-timeout that the parts of a process may plan with. */
const PLANNED_SHARE = 0.8

/** How a process ended: as it should, with something lost, or before it was finished. */
type End = 'well' | 'badly' | 'late'

/** Runs a role until a signal ends it. @returns the exit code. */
export async function runRole(settings: Settings, host: RoleHost): Promise<number> {
  const { clock } = host
  const crashes = new CrashListeners(host)
  const log = processLog(settings, crashes.host)
  const stopped = firstCause(host, log)
  const parts = new Parts(
    settings,
    { ...host, createAdmin: host.createAdmin ?? (await adminFor(settings)) },
    log,
    crashes,
  )
  try {
    const started = await Promise.race([parts.start(), stopped])
    if (typeof started === 'object') {
      if (host.announce === undefined) host.write(startSummary({ ...started, settings, host, log }))
      else host.announce(started)
    }
  } catch (error) {
    const { exitCode, text } = explainStartFailure(error, settings)
    log.debug({ err: error }, 'the start failed')
    host.err(`intermix ${settings.role}: ${text}`)
    await parts.stop(0)
    return exitCode
  }
  const cause = await stopped
  await parts.retire(log)
  const began = clock.monotonic()
  log.info({ cause }, 'shutting down')
  const end = await parts.stop(settings.shutdownTimeoutMs)
  const tookMs = Math.round(clock.monotonic() - began)
  if (end === 'late')
    log.error({ tookMs }, 'stopped before everything in flight was finished: --shutdown-timeout has passed')
  else log.info({ tookMs }, 'stopped')
  return end === 'well' ? 0 : 1
}

/** The log of a process, which hears of its end by an error and of what libraries write past it. */
export function processLog(settings: Settings, host: ProcessHost): RootLogger {
  const several = settings.processes > 1
  const log = createLogger({
    format: settings.logFormat,
    level: settings.logLevel,
    terminal: host.terminal,
    write: (line) => host.write(line),
    fields: { role: settings.role, node: settings.nodeId },
    ...(several ? { everyLine: { process: settings.process === 0 ? 'parent' : settings.process } } : {}),
  })
  host.onCrash((error) => {
    log.fatal({ err: error }, 'an error that nobody handled ends the process')
    host.exit(1)
  })
  host.onLibraryOutput(toldOnce(log))
  return log
}

/** Who hears of an error that ends the process before it does. */
class CrashListeners {
  /** The host, as whoever ends the process by such an error is to have it. */
  readonly host: ProcessHost
  readonly #listeners: ((error: unknown) => void)[] = []

  constructor(host: ProcessHost) {
    const onCrash: ProcessHost['onCrash'] = (end) => host.onCrash((error) => this.#tell(error, end))
    this.host = { ...host, onCrash }
  }

  add(listener: (error: unknown) => void): void {
    this.#listeners.push(listener)
  }

  #tell(error: unknown, end: (error: unknown) => void): void {
    for (const listener of this.#listeners) {
      try {
        listener(error)
      } catch {
        // What ends the process is the first error, and that is told.
      }
    }
    end(error)
  }
}

/** A library may say the same at every reconnect: the same again is for who looks for details. */
function toldOnce(log: Logger): (level: LibraryLevel, text: string) => void {
  const told = new Set<string>()
  return (level, written) => {
    const text = written.slice(0, MAX_LIBRARY_TEXT)
    const isNew = !told.has(text) && told.size < MAX_LIBRARY_TEXTS
    if (isNew) told.add(text)
    log[isNew ? level : 'debug']({ from: 'a library' }, text)
  }
}

/** Resolves at the first cause; a second signal ends the process at once. */
export async function firstCause(host: ProcessHost, log: Logger): Promise<StopCause> {
  return await new Promise((resolve) => {
    let first: { readonly signal: StopSignal; readonly at: number } | undefined
    host.onSignal((signal) => {
      const at = host.clock.monotonic()
      if (signal === 'launcher gone' || signal === 'node ends') {
        resolve(signal)
      } else if (first === undefined) {
        first = { signal, at }
        resolve(signal)
      } else if (signal !== first.signal || at - first.at > SAME_SIGNAL_MS) {
        log.warn({ signal }, 'second signal: ending at once')
        host.exit(SIGNAL_CODES[signal])
      }
    })
  })
}

/** A sidecar must stay small: it has Node's own server and never loads the framework of the others. */
async function adminFor({ role }: Settings): Promise<CreateAdminServer> {
  if (role === 'sidecar') return (await import('../observe/plain-admin.ts')).createPlainAdmin
  return (await import('../observe/fastify-admin.ts')).createFastifyAdmin
}

/** What a process consists of, in the order of starting. */
class Parts {
  readonly #settings: Settings
  readonly #host: RoleHost
  readonly #log: RootLogger
  readonly #health = new Health()
  readonly #meter = createMeter()
  readonly #debug = new Map<string, () => unknown>()
  readonly #operations = new Map<string, Operation>()
  readonly #admin: AdminServer
  readonly #loopLag: LoopMonitor
  readonly #crashes: CrashListeners
  #redis: EmbeddedRedis | undefined
  #running: RunningProcess | undefined
  #stopping = false

  constructor(
    settings: Settings,
    host: RoleHost & Required<Pick<RoleHost, 'createAdmin'>>,
    log: RootLogger,
    crashes: CrashListeners,
  ) {
    this.#settings = settings
    this.#host = host
    this.#log = log
    this.#crashes = crashes
    const version = { version: host.version, node: process.version, role: settings.role, id: settings.nodeId }
    this.#admin = host.createAdmin({
      meter: this.#meter,
      health: this.#health,
      debug: this.#debug,
      operations: this.#operations,
      hosts: settings.adminHosts,
      log,
      version,
      tls: adminTls(settings, { clock: host.clock, log, meter: this.#meter }),
    })
    this.#loopLag = createLoopMonitor({ clock: host.clock, meter: this.#meter })
    this.#health.set('start', false, 'starting')
    const info = { version: host.version, role: settings.role, node_version: process.version }
    this.#meter.gauge(BUILD_INFO)(info).set(1)
  }

  async start(): Promise<Started & { readonly redis: EmbeddedRedis | undefined }> {
    const { clock, random, createProcess } = this.#host
    await refuseBadListenerFiles(this.#settings)
    const admin = await this.#admin.listen(this.#settings.adminAddress)
    this.#redis = await startPrivateRedis(this.#settings, this.#host, this.#log, () => this.#stopping)
    const settings = withPrivateRedis(this.#settings, this.#redis)
    const { siblings } = this.#host
    const loopLag = this.#loopLag
    const onCrash = (listener: (error: unknown) => void) => this.#crashes.add(listener)
    const ports = {
      clock,
      random,
      log: this.#log,
      meter: this.#meter,
      health: this.#health,
      loopLag,
      siblings,
      onCrash,
    }
    this.#running = await createProcess(settings.role, settings, ports)
    for (const [name, view] of this.#running.debug) this.#debug.set(name, view)
    for (const [name, operation] of this.#running.operations ?? []) this.#operations.set(name, operation)
    const started = await this.#running.start()
    if (!this.#stopping) this.#health.set('start', true, 'started')
    return { ...started, addresses: { ...started.addresses, admin }, redis: this.#redis }
  }

  /** Says that it is not ready, and serves on for as long as callers may need to notice. */
  async retire(log: Logger): Promise<void> {
    const { lameDuckMs } = this.#settings
    if (this.#running === undefined || lameDuckMs === 0) return
    this.#stopping = true
    this.#health.set('start', false, 'shutting down')
    this.#running.retire?.()
    log.info({ lameDuckMs }, 'not ready any more, and serving on until callers have noticed')
    await pause(this.#host.clock, lameDuckMs)
  }

  /** @returns how it went: whether everything ended within `deadlineMs`, and nothing was lost. */
  async stop(deadlineMs: number): Promise<End> {
    this.#stopping = true
    this.#health.set('start', false, 'shutting down')
    const end = await this.#end(deadlineMs)
    await this.#admin.close()
    await this.#redis?.stop()
    this.#loopLag.stop()
    return end
  }

  /** What runs is told of an earlier end than it is given: what it does last, such as writing down reports, is not cut off. */
  async #end(deadlineMs: number): Promise<End> {
    if (this.#running === undefined) return 'well'
    const ended = this.#running.stop(deadlineMs * PLANNED_SHARE).then(
      (): End => 'well',
      (error: unknown): End => {
        this.#log.error({ err: error }, 'stopping failed')
        return 'badly'
      },
    )
    return await within(this.#host.clock, deadlineMs, ended, (): End => 'late')
  }
}
