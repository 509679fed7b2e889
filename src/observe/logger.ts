// Structured logs on pino: JSON lines for collectors, readable lines for a terminal. Lines are written synchronously
// in the process, so that the last words of a dying process are not lost in a worker thread.

import { createRequire } from 'node:module'
import { type Level, type Logger as Sink, pino, stdSerializers } from 'pino'
import type { prettyFactory } from 'pino-pretty'
import type { Logger } from '../kernel/ports.ts'

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
  const write = (line: string) => options.write(format === undefined ? line : format(line))
  const sink: Sink = pino(
    {
      level: options.level,
      base: { ...(pretty ? {} : options.fields), ...options.everyLine },
      serializers: { err: showError, error: showError, cause: showError },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  )
  return new PinoLogger(sink, {})
}

/** Hardly any process writes to a terminal. */
function loadPretty(): typeof prettyFactory {
  const loaded: { readonly prettyFactory: typeof prettyFactory } = createRequire(import.meta.url)('pino-pretty')
  return loaded.prettyFactory
}

/** What clients of Redis add to errors has the arguments of the command: passwords, and data of others. */
function showError(error: Error): unknown {
  return withoutArguments(stdSerializers.err(error))
}

function withoutArguments(shown: unknown): unknown {
  if (typeof shown !== 'object' || shown === null || Object.getPrototypeOf(shown) !== SHOWN) return shown
  const safe: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(shown)) {
    if (key === 'command') safe[key] = (value as { readonly name?: unknown } | null)?.name
    else safe[key] = Array.isArray(value) ? value.map(withoutArguments) : withoutArguments(value)
  }
  return safe
}

/** What pino makes of errors has this prototype, errors within errors as well. */
const SHOWN: unknown = Object.getPrototypeOf(stdSerializers.err(new Error()))

/** Children hold their fields here, not in pino, so that one change of level reaches all of them. */
class PinoLogger implements RootLogger {
  readonly #sink: Sink
  readonly #fields: object

  constructor(sink: Sink, fields: object) {
    this.#sink = sink
    this.#fields = fields
  }

  get level(): LogLevel {
    return this.#sink.level as LogLevel
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
    return new PinoLogger(this.#sink, { ...this.#fields, ...fields })
  }

  #write(level: Level, fields: object, message: string): void {
    if (this.#sink.isLevelEnabled(level)) this.#sink[level]({ ...this.#fields, ...fields }, message)
  }
}
