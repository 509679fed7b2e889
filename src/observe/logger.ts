// Structured logs in the form of pino: JSON lines for collectors, readable lines for a terminal. Lines are written synchronously
// in the process, so that the last words of a dying process are not lost in a worker thread. Pino itself would load that thread's
// code, and more than the line takes.

import { createRequire } from 'node:module'
import type { prettyFactory } from 'pino-pretty'
import type { Logger } from '../kernel/ports.ts'
import { logLine } from './log-line.ts'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export const LOG_FORMATS = ['auto', 'pretty', 'json'] as const
type LogFormat = (typeof LOG_FORMATS)[number]

/** The logger of a process. Its level can be changed while it runs, for all of its children at once. */
export interface RootLogger extends Logger {
  level: LogLevel
  /** The process ends because of this; never filtered by the level. */
  fatal(fields: object, message: string): void
}

export interface LoggerOptions {
  /** `auto` is pretty where `terminal` is set and JSON elsewhere. */
  readonly format: LogFormat
  readonly level: LogLevel
  /** Takes each finished line, its line end included. */
  readonly write: (line: string) => void
  /** Whether the lines go to a terminal: decides `auto`, and colours. */
  readonly terminal: boolean
  /** Fields of every JSON line; a person at a terminal knows which node it is. */
  readonly fields?: object
  /** Fields of every line in either form. */
  readonly everyLine?: object
}

/** Creates the logger of a process. An `Error` under `err`, `error` or `cause` is written with its type and stack. */
export function createLogger(options: LoggerOptions): RootLogger {
  const pretty = options.format === 'pretty' || (options.format === 'auto' && options.terminal)
  const format = pretty
    ? loadPretty()({ colorize: options.terminal, translateTime: 'SYS:HH:MM:ss.l', singleLine: true })
    : undefined
  const fields = { ...(pretty ? {} : options.fields), ...options.everyLine }
  const write = (line: string) => options.write(format === undefined ? line : format(line))
  return new LineLogger({ level: options.level, write }, fields)
}

/** Hardly any process writes to a terminal. */
function loadPretty(): typeof prettyFactory {
  const loaded: { readonly prettyFactory: typeof prettyFactory } = createRequire(import.meta.url)('pino-pretty')
  return loaded.prettyFactory
}

const RANKS = { debug: 0, info: 1, warn: 2, error: 3, fatal: 4 } as const

/** What a logger and its children share. */
interface Sink {
  level: LogLevel
  readonly write: (line: string) => void
}

/** One change of level reaches all children. */
class LineLogger implements RootLogger {
  readonly #sink: Sink
  readonly #fields: object

  constructor(sink: Sink, fields: object) {
    this.#sink = sink
    this.#fields = fields
  }

  get level(): LogLevel {
    return this.#sink.level
  }

  set level(level: LogLevel) {
    this.#sink.level = level
  }

  debug(fields: object, message: string): void {
    this.#write('debug', fields, message)
  }

  info(fields: object, message: string): void {
    this.#write('info', fields, message)
  }

  warn(fields: object, message: string): void {
    this.#write('warn', fields, message)
  }

  error(fields: object, message: string): void {
    this.#write('error', fields, message)
  }

  fatal(fields: object, message: string): void {
    this.#write('fatal', fields, message)
  }

  child(fields: object): Logger {
    return new LineLogger(this.#sink, { ...this.#fields, ...fields })
  }

  #write(level: keyof typeof RANKS, fields: object, message: string): void {
    if (RANKS[level] >= RANKS[this.#sink.level])
      this.#sink.write(logLine(level, { ...this.#fields, ...fields }, message))
  }
}
