// What a sub-command may use of the outside world; only main has the real one.

import type { Environment } from '../settings/options.ts'

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
