// One entry of the audit log.

/** A change, as it was written. */
export interface LogEntry {
  /** In ms on the clock of Redis. */
  readonly at: number
  readonly rev: number
  readonly by: string
  /** The kind of the event. */
  readonly event: string
  /** In words. */
  readonly entry: string
  readonly token: string
}

/** An entry by the name that it has in the log. */
export interface NamedEntry extends LogEntry {
  /** Later entries have higher ones. */
  readonly id: string
}

/** @param fields names and values in turns, as a stream has them */
export function readEntry(fields: readonly string[]): LogEntry {
  const named = new Map<string, string>()
  for (let at = 0; at + 1 < fields.length; at += 2) named.set(fields[at] ?? '', fields[at + 1] ?? '')
  const text = (name: string) => named.get(name) ?? ''
  const [, event = ''] = /"kind":"([a-z-]+)"/.exec(text('event')) ?? []
  return {
    at: Number(text('at')),
    rev: Number(text('rev')),
    by: text('by'),
    event,
    entry: text('entry'),
    token: text('token'),
  }
}
