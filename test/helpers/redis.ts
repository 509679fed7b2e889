// A real Redis for each test that needs one: own process, free port, no persistence, and faults on demand.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './ports.ts'
import { type Child, spawnChild } from './process.ts'

/** A running redis-server. The port stays the same over `kill` and `restart`; the data does not survive them. */
export interface RedisServer {
  /** `redis://127.0.0.1:<port>` */
  readonly url: string
  readonly port: number
  /** Process id of the server that runs now (another one after a restart). */
  readonly pid: number
  /** Ends the server and removes its directory. */
  stop(): Promise<void>
  /** SIGSTOP: connections stay open, nothing answers. */
  pause(): void
  /** SIGCONT after `pause`. */
  resume(): void
  /** SIGKILL: connections break, the port refuses. */
  kill(): Promise<void>
  /** Starts again on the same port, empty; ends the running server first. */
  restart(): Promise<void>
}

export interface RedisOptions {
  /** Further redis-server arguments, such as `['--maxmemory', '1mb']`. */
  readonly args?: readonly string[]
}

/** Starts a redis-server of its own on a free port; `REDIS_SERVER_BIN` names another binary than the one on the path. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const port = await freePort()
  const directory = await mkdtemp(join(tmpdir(), 'intermix-redis-'))
  const launch = () => launchRedis(port, directory, options.args ?? [])
  return new LocalRedis(port, directory, launch, await launch())
}

async function launchRedis(port: number, directory: string, extra: readonly string[]): Promise<Child> {
  const base = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no']
  const child = await spawnChild(process.env['REDIS_SERVER_BIN'] ?? 'redis-server', [...base, ...extra])
  await child.waitForOutput(/Ready to accept connections/)
  return child
}

class LocalRedis implements RedisServer {
  readonly port: number
  readonly #directory: string
  readonly #launch: () => Promise<Child>
  #child: Child

  constructor(port: number, directory: string, launch: () => Promise<Child>, child: Child) {
    this.port = port
    this.#directory = directory
    this.#launch = launch
    this.#child = child
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  get pid(): number {
    return this.#child.pid
  }

  async stop(): Promise<void> {
    await this.#child.stop()
    await rm(this.#directory, { recursive: true, force: true })
  }

  pause(): void {
    this.#child.signal('SIGSTOP')
  }

  resume(): void {
    this.#child.signal('SIGCONT')
  }

  async kill(): Promise<void> {
    await this.#child.kill()
  }

  async restart(): Promise<void> {
    await this.#child.kill()
    this.#child = await this.#launch()
  }
}
