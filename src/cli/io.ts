// What a sub-command may use of the outside world; only main has the real one.

import type { Clock, Random } from '../kernel/ports.ts'
import type { Environment } from '../settings/options.ts'
import type { Settings } from '../settings/settings.ts'

export interface CommandIo {
  /** Writes one line (or several) to standard output. */
  out(text: string): void
  /** Writes one line (or several) to standard error. */
  err(text: string): void
  readonly env: Environment
  /** Folder that relative paths count from. */
  readonly cwd: string
  readonly fetch: typeof fetch
  /** All of standard input as text. */
  readStdin(): Promise<string>
  /** A file as UTF-8 text. */
  readFile(path: string): Promise<string>
  readonly clock: Clock
  readonly random: Random
}

/** What main brings to the commands: the outside world, and what only main can run. */
export interface CommandHost extends CommandIo {
  readonly version: string
  /** Runs a node or worker until a signal ends it. @returns the exit code. */
  runRole(settings: Settings): Promise<number>
}

/** Exit codes of all sub-commands. */
export const EXIT = {
  /** Done; for `check`: allowed. */
  ok: 0,
  /** Refused: a denied check, a config with errors, a start that failed. */
  refused: 1,
  /** The command line or the environment is wrong. */
  usage: 2,
  /** The node could not be asked, or could not answer. */
  failed: 3,
} as const
