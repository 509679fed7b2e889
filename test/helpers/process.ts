// Child processes of tests: output kept, readiness awaited, ended by pid, and never left behind when the test run ends.
import { type ChildProcess, spawn } from 'node:child_process'
import { connect } from 'node:net'

/** How a child ended: its exit code, or the signal that killed it. */
export interface Exit {
  readonly code: number | undefined
  readonly signal: NodeJS.Signals | undefined
}

/** A running child process. It leads its own process group, so that what it starts ends with it. */
export interface Child {
  readonly pid: number
  /** Resolves once the process has ended and its output is complete. */
  readonly exited: Promise<Exit>
  /** All output so far, standard output and error interleaved (the last 256 KiB). */
  output(): string
  running(): boolean
  /** Resolves with the match when the output matches; rejects with the output when the process ends or time is up. */
  waitForOutput(pattern: RegExp, timeoutMs?: number): Promise<RegExpMatchArray>
  /** Resolves when something accepts on 127.0.0.1:`port`; rejects with the output when the process ends or time is up. */
  waitForPort(port: number, timeoutMs?: number): Promise<void>
  /** Signals this process alone (for SIGSTOP, SIGCONT, SIGHUP, SIGTERM). */
  signal(signal: NodeJS.Signals): void
  /** SIGTERM (SIGKILL to the whole group after `graceMs`, 5 s by default), and waits for the end. */
  stop(graceMs?: number): Promise<Exit>
  /** SIGKILL to the whole group, and waits for the end. */
  kill(): Promise<Exit>
}

export interface SpawnOptions {
  readonly cwd?: string
  /** Added to the environment of the test run; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>
}

const OUTPUT_LIMIT = 256 * 1024
const POLL_MS = 20
const groups = new Set<number>()

/** Starts `command` with `args`; throws when it cannot be started at all. */
export async function spawnChild(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<Child> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (error) => reject(new Error(`cannot start ${command}: ${error.message}`)))
  })
  return new SpawnedChild(command, child)
}

class SpawnedChild implements Child {
  readonly pid: number
  readonly exited: Promise<Exit>
  readonly #command: string
  readonly #watchers = new Set<() => void>()
  #output = ''
  #ended = false

  constructor(command: string, child: ChildProcess) {
    if (child.pid === undefined) throw new Error(`${command} has no pid`)
    this.#command = command
    this.pid = child.pid
    groups.add(this.pid)
    const collect = (chunk: Buffer) => {
      this.#output = (this.#output + chunk.toString('utf8')).slice(-OUTPUT_LIMIT)
      this.#notify()
    }
    child.stdout?.on('data', collect)
    child.stderr?.on('data', collect)
    // Ends what the process left behind: it would hold the output open, and `close` would never come.
    child.once('exit', () => killGroup(this.pid))
    this.exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        this.#ended = true
        groups.delete(this.pid)
        this.#notify()
        resolve({ code: code ?? undefined, signal: signal ?? undefined })
      })
    })
  }

  output(): string {
    return this.#output
  }

  running(): boolean {
    return !this.#ended
  }

  async waitForOutput(pattern: RegExp, timeoutMs = 60_000): Promise<RegExpMatchArray> {
    return await new Promise((resolve, reject) => {
      const settle = (finish: () => void) => {
        clearTimeout(timer)
        this.#watchers.delete(look)
        finish()
      }
      const look = () => {
        const match = this.#output.match(pattern)
        if (match !== null) settle(() => resolve(match))
        else if (this.#ended) settle(() => reject(this.#failure(`ended before printing ${pattern}`)))
      }
      const timer = setTimeout(
        () => settle(() => reject(this.#failure(`did not print ${pattern} in ${timeoutMs} ms`))),
        timeoutMs,
      )
      this.#watchers.add(look)
      look()
    })
  }

  async waitForPort(port: number, timeoutMs = 60_000): Promise<void> {
    const deadline = performance.now() + timeoutMs
    while (!(await accepts(port))) {
      if (this.#ended) throw this.#failure(`ended before listening on port ${port}`)
      if (performance.now() > deadline) throw this.#failure(`did not listen on port ${port} in ${timeoutMs} ms`)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#ended) process.kill(this.pid, signal)
  }

  async stop(graceMs = 5_000): Promise<Exit> {
    this.signal('SIGCONT')
    this.signal('SIGTERM')
    const timer = setTimeout(() => killGroup(this.pid), graceMs)
    const exit = await this.exited
    clearTimeout(timer)
    return exit
  }

  async kill(): Promise<Exit> {
    if (!this.#ended) killGroup(this.pid)
    return await this.exited
  }

  #notify(): void {
    for (const watcher of this.#watchers) watcher()
  }

  #failure(what: string): Error {
    return new Error(`${this.#command} (pid ${this.pid}) ${what}; its output:\n${this.#output.slice(-4_000)}`)
  }
}

/** Whether something accepts TCP connections on 127.0.0.1:`port` now. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    // The group is empty: everything in it has ended already.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

process.once('exit', () => {
  for (const pid of groups) killGroup(pid)
})
