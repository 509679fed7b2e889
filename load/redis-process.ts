// A redis-server of the scenario's own, and a client for its commands.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Running, freePorts, start } from './processes.ts'

export interface RedisProcess {
  readonly port: number
  readonly url: string
  /** Of the process that runs now. */
  pid(): number
  pause(): void
  resume(): void
  kill(): Promise<void>
  /** Starts it again after `kill`: empty, or with what its append-only file holds. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** Starts a redis-server on a free port, without persistence unless further arguments say otherwise. */
export async function startRedis(further: readonly string[] = []): Promise<RedisProcess> {
  const [port = 0] = await freePorts(1)
  const directory = await mkdtemp(join(tmpdir(), 'intermix-load-redis-'))
  const base = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no']
  const args = [...base, ...further]
  const launch = () => start({ command: 'redis-server', args, ready: /Ready to accept connections/ })
  let child: Running = await launch()
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    pid: () => child.pid,
    pause: () => child.signal('SIGSTOP'),
    resume: () => child.signal('SIGCONT'),
    kill: () => child.kill(),
    async restart() {
      await child.kill()
      child = await launch()
    },
    async stop() {
      await child.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
