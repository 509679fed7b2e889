// A line of the log: JSON with the names and the order that pino has, and errors as it shows them.

import { causesOf } from '../kernel/errors.ts'

/** Fields whose value is shown as an error where it is one. */
const ERRORS: ReadonlySet<string> = new Set(['err', 'error', 'cause'])
/** Errors within errors, and objects within those. */
const MAX_DEPTH = 10

/** @returns the line with its end. Whatever JSON does not know in `fields` is shown in another way. */
export function logLine(level: string, fields: object, message: string): string {
  const shown: Record<string, unknown> = { level, time: new Date().toISOString() }
  for (const [name, value] of Object.entries(fields))
    shown[name] = ERRORS.has(name) && value instanceof Error ? showError(value) : value
  shown['msg'] = message
  return `${textOf(shown)}\n`
}

function textOf(shown: object): string {
  try {
    return JSON.stringify(shown)
  } catch {
    return JSON.stringify(readable(shown, new Set()))
  }
}

/** As JSON takes it: without circles, and with what cannot be shown as its text. */
function readable(value: unknown, above: ReadonlySet<object>): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (typeof value !== 'object' || value === null) return value
  if (above.has(value)) return '[Circular]'
  const within = new Set([...above, value])
  try {
    const { toJSON } = value as { readonly toJSON?: unknown }
    if (typeof toJSON === 'function') return readable(toJSON.call(value) as unknown, within)
    if (Array.isArray(value)) return value.map((item) => readable(item, within))
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, readable(item, within)]))
  } catch {
    return '[cannot be shown]'
  }
}

/**
 * Type, message and stack, with those of the causes behind them, and what else an error has. What clients of Redis add to
 * errors has the arguments of the command: passwords, and data of others. Of a command the name is shown.
 */
function showError(error: Error, depth = 0): unknown {
  if (depth > MAX_DEPTH) return '[Circular]'
  const shown: Record<string, unknown> = {
    type: error.constructor.name || error.name,
    message: withCauses(error, ({ message }) => message, ': '),
    stack: withCauses(error, ({ stack = '' }) => stack, '\ncaused by: '),
  }
  if (error instanceof AggregateError) shown['aggregateErrors'] = error.errors.map((each) => within(each, depth))
  for (const [name, value] of Object.entries(error)) {
    if (name === 'command') shown[name] = (value as { readonly name?: unknown } | null)?.name
    // Of a cause the message and the stack are there.
    else if (!(name in shown) && !(name === 'cause' && value instanceof Error)) shown[name] = within(value, depth)
  }
  return shown
}

function within(value: unknown, depth: number): unknown {
  if (Array.isArray(value)) return value.map((item) => within(item, depth))
  return value instanceof Error ? showError(value, depth + 1) : value
}

/** What `of` says of an error and of its causes. */
function withCauses(error: Error, of: (error: Error) => string, between: string): string {
  return [...causesOf(error)].map(of).join(between)
}
