// A redis-server process of the test's own, on a free port, without persistence.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './ports.ts'
import { type Child, spawnChild } from './process.ts'
import type { RedisServer } from './redis-server.ts'

/** Starts `binary` with `args` after the defaults. */
export async function startLocalRedis(binary: string, args: readonly string[]): Promise<RedisServer> {
  const port = await freePort()
  const directory = await mkdtemp(join(tmpdir(), 'intermix-redis-'))
  const base = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no']
  const launch = async () => {
    const child = await spawnChild(binary, [...base, ...args])
    await child.waitForOutput(/Ready to accept connections/)
    return child
  }
  return new LocalRedis(port, directory, launch, await launch())
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
