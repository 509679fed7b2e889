// Processes of a scenario: started on free ports of 127.0.0.1, ended by their pid, none left behind.

import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'

const OUTPUT_LIMIT = 64 * 1024
const GRACE_MS = 5_000
const children = new Set<ChildProcess>()

/** A process that a scenario started. */
export interface Running {
  readonly pid: number
  /** The last of what it wrote. */
  output(): string
  running(): boolean
  signal(signal: NodeJS.Signals): void
  /** SIGTERM, after a while (5 s unless told) SIGKILL; resolves when the process has ended. */
  stop(graceMs?: number): Promise<void>
  /** SIGKILL; resolves when the process has ended. */
  kill(): Promise<void>
}

export interface StartOptions {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Resolves once this appears in the output. */
  readonly ready: RegExp
  readonly timeoutMs?: number
  /** Hears of all that it writes. */
  readonly onOutput?: ((text: string) => void) | undefined
}

/** Starts a process and waits until it says that it is ready; rejects with its output where it does not. */
export async function start(options: StartOptions): Promise<Running & { readonly match: RegExpMatchArray }> {
  const { command, args, cwd, env, ready, timeoutMs = 60_000, onOutput } = options
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A session of its own: Linux shares the processor among sessions, so that a scenario of ten processes in one of them would
    // have as little of a busy machine as a single program.
    detached: true,
  })
  children.add(child)
  let output = ''
  const ended = new Promise<void>((resolve) => {
    const end = () => {
      children.delete(child)
      resolve()
    }
    child.once('close', end)
    child.once('error', (error) => {
      output += String(error)
      end()
    })
  })
  const match = await new Promise<RegExpMatchArray>((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`${command} ${args.slice(0, 3).join(' ')}: ${why}:\n${output}`))
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      fail(`not ready after ${timeoutMs} ms`)
    }, timeoutMs)
    const collect = (chunk: Buffer) => {
      onOutput?.(chunk.toString('utf8'))
      output = (output + chunk.toString('utf8')).slice(-OUTPUT_LIMIT)
      const found = output.match(ready)
      if (found === null) return
      clearTimeout(timer)
      resolve(found)
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    void ended.then(() => {
      clearTimeout(timer)
      fail('it has ended')
    })
  })
  const { pid = 0 } = child
  const alive = () => child.exitCode === null && child.signalCode === null
  const kill = async () => {
    if (alive()) child.kill('SIGKILL')
    await ended
  }
  return {
    pid,
    match,
    output: () => output,
    running: alive,
    signal: (signal) => {
      if (alive()) child.kill(signal)
    },
    async stop(graceMs = GRACE_MS) {
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
      if (alive()) {
        child.kill('SIGCONT')
        child.kill('SIGTERM')
      }
      await ended
      clearTimeout(timer)
    },
    kill,
  }
}

process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

/** Ports of 127.0.0.1 that nobody listens on now. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(0, '127.0.0.1', resolve)
      })
      return server
    }),
  )
  return await Promise.all(
    servers.map(async (server) => {
      const address = server.address()
      await new Promise((resolve) => server.close(resolve))
      if (address === null || typeof address === 'string') throw new Error('a TCP server without a port')
      return address.port
    }),
  )
}
