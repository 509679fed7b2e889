// A node or worker of a chaos run: the real command, started again and again under the same name.

import { fileURLToPath } from 'node:url'
import { type Running, start } from '../processes.ts'

/** Longer than a process gives itself to end. */
const PATIENCE_MS = 60_000
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface MemberOptions {
  readonly role: 'node' | 'worker'
  readonly name: string
  readonly flags: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

export type Addresses = Readonly<Record<'grpc' | 'http' | 'admin' | 'prometheus', string>>

export class Member {
  readonly name: string
  readonly #options: MemberOptions
  #child: (Running & { readonly match: RegExpMatchArray }) | undefined
  #paused = false
  /** Lines of warnings and errors, by message. */
  readonly complaints = new Map<string, number>()

  constructor(options: MemberOptions) {
    this.name = options.name
    this.#options = options
  }

  /** Where it listens; `undefined` while it is down. */
  get addresses(): Addresses | undefined {
    if (this.#child?.running() !== true) return undefined
    return JSON.parse(this.#child.match[1] ?? '{}') as Addresses
  }

  /** Starts it where it is down, and lets it go on where it is paused. */
  async up(): Promise<void> {
    this.resume()
    if (this.#child?.running() === true) return
    const { role, name, flags, env } = this.#options
    const doors = role === 'node' ? ['--grpc-address', '--http-address'] : ['--prometheus-address']
    const addresses = [...doors, '--admin-address'].flatMap((flag) => [flag, '127.0.0.1:0'])
    this.#child = await start({
      command: process.execPath,
      args: ['src/main.ts', role, '--node-id', name, ...addresses, '--log-format', 'json', ...flags],
      cwd: ROOT,
      env,
      ready: /"addresses":(\{[^}]*\})/,
      onOutput: (text) => this.#listen(text),
    })
  }

  async kill(): Promise<void> {
    this.#paused = false
    await this.#child?.kill()
  }

  /** SIGTERM, and time to end in order. */
  async stop(): Promise<void> {
    this.resume()
    await this.#child?.stop(PATIENCE_MS)
  }

  pause(): void {
    this.#paused = true
    this.#child?.signal('SIGSTOP')
  }

  resume(): void {
    if (this.#paused) this.#child?.signal('SIGCONT')
    this.#paused = false
  }

  #listen(text: string): void {
    for (const [, level, message] of text.matchAll(/"level":(\d\d|"\w+").*?"msg":"((?:[^"\\]|\\.)*)"/g)) {
      if (level === '30' || level === '"info"') continue
      const key = message ?? ''
      this.complaints.set(key, (this.complaints.get(key) ?? 0) + 1)
    }
  }
}
