// The life of a node of several processes, as its parent lives it. The parent serves no requests: it has the admin port, the
// private Redis and the signals, and sees to it that the processes serve.

import type { RootLogger } from '../observe/logger.ts'
import { createMeter } from '../observe/meter.ts'
import type { Settings } from '../settings/settings.ts'
import type { EmbeddedRedis } from './embedded-redis.ts'
import { refuseBadListenerFiles } from './listener-files.ts'
import { NodeAdmin } from './node-admin.ts'
import type { SpawnedProcess, StartFailed } from './node-process.ts'
import { NodeProcesses } from './node-processes.ts'
import { startPrivateRedis, withPrivateRedis } from './private-redis.ts'
import type { Announcement } from './process-messages.ts'
import { firstCause, type ProcessHost, processLog } from './run-role.ts'
import { explainStartFailure } from './start-failure.ts'
import { startSummary } from './start-summary.ts'

/** The parent of a node's processes, as main has it. */
export interface NodeHost extends ProcessHost {
  spawn(): SpawnedProcess
}

/** For processes to end by themselves before they are made to. */
const GRACE_MS = 2_000

/** Runs a node of `settings.processes` processes until a signal ends it. @returns the exit code. */
export async function runNode(settings: Settings, host: NodeHost): Promise<number> {
  const log = processLog({ ...settings, process: 0 }, host)
  const node = new Node(settings, host, log)
  const stopped = firstCause({ ...host, exit: (code) => node.exit(code) }, log)
  const fail = async (text: string, code: number) => {
    host.err(text)
    await node.stop(0)
    return code
  }
  try {
    const started = await Promise.race([node.start(), stopped])
    if (typeof started === 'object' && 'failed' in started)
      return await fail(`intermix ${settings.role}: ${started.failed}`, started.code)
    if (typeof started === 'object') host.write(startSummary({ ...started, settings, host, log }))
  } catch (error) {
    const { exitCode, text } = explainStartFailure(error, settings)
    return await fail(`intermix ${settings.role}: ${text}`, exitCode)
  }
  const cause = await Promise.race([stopped, node.gaveUp])
  if (typeof cause === 'object') return await fail(`intermix ${settings.role}: ${cause.failed}`, 1)
  log.info({ cause }, 'shutting down')
  const inTime = await node.stop(settings.lameDuckMs + settings.shutdownTimeoutMs + GRACE_MS)
  if (inTime) log.info({}, 'stopped')
  else log.error({}, 'stopped; not every process ended in good order')
  return inTime ? 0 : 1
}

interface NodeStarted extends Pick<Announcement, 'addresses'> {
  readonly facts: Readonly<Record<string, string>>
  readonly redis: EmbeddedRedis | undefined
}

class Node {
  readonly #settings: Settings
  readonly #host: NodeHost
  readonly #log: RootLogger
  readonly #processes: NodeProcesses
  readonly #admin: NodeAdmin
  #redis: EmbeddedRedis | undefined
  #stopping = false

  constructor(settings: Settings, host: NodeHost, log: RootLogger) {
    const { clock, version } = host
    const meter = createMeter()
    this.#settings = settings
    this.#host = host
    this.#log = log
    this.#processes = new NodeProcesses({
      settings,
      clock,
      log,
      meter,
      spawn: () => host.spawn(),
      onStarted: (process, announcement) => this.#admin.take(process, announcement),
    })
    this.#admin = new NodeAdmin({ settings, processes: this.#processes, clock, log, meter, version })
  }

  get gaveUp(): Promise<StartFailed> {
    return this.#processes.gaveUp
  }

  async start(): Promise<NodeStarted | StartFailed> {
    await refuseBadListenerFiles(this.#settings)
    const admin = await this.#admin.listen()
    this.#redis = await startPrivateRedis(this.#settings, this.#host, this.#log, () => this.#stopping)
    // Said already, so that no process looks for one.
    const settings = { ...withPrivateRedis(this.#settings, this.#redis), redisGiven: true }
    const first = await this.#processes.start(settings)
    if ('failed' in first) return first
    if (!this.#stopping) this.#admin.ready()
    const facts = { ...first.facts, processes: String(settings.processes) }
    return { addresses: { ...first.addresses, admin }, facts, redis: this.#redis }
  }

  /** @returns whether every process ended well within `deadlineMs`. */
  async stop(deadlineMs: number): Promise<boolean> {
    this.#stopping = true
    this.#admin.retire()
    const inTime = await this.#processes.stop(deadlineMs)
    await this.#admin.close()
    await this.#redis?.stop()
    return inTime
  }

  /** Ends all at once. */
  exit(code: number): void {
    this.#processes.kill()
    this.#host.exit(code)
  }
}
