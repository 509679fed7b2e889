// Header operations: what a rule does to the headers of a request or a response.

import { isSingleton } from './header-field.ts'

export interface HeaderOperation {
  /** Lower-case header name. */
  readonly name: string
  /** Empty for `REMOVE`. */
  readonly value: string
  readonly operation: 'REPLACE' | 'REMOVE' | 'APPEND'
}

/** What becomes of one header by all operations on it. */
export interface HeaderChange {
  readonly name: string
  /** Whether what was there before goes. */
  readonly replaces: boolean
  /** What is added, in order. With `replaces` and without values the header is removed. */
  readonly values: readonly string[]
}

/**
 * What operations come to that act one after the other, by header in order of first mention: for proxies that do all
 * removing at one time and all setting at another. To remove what a message needs does nothing, and to append to a header
 * that may be there only once is to replace it.
 */
export function headerChanges(operations: readonly HeaderOperation[]): readonly HeaderChange[] {
  const changes = new Map<string, { name: string; replaces: boolean; values: string[] }>()
  for (const { name, value, operation } of operations) {
    // What was set before stands: there is no message without it.
    if (operation === 'REMOVE' && !isRemovable(name)) continue
    let change = changes.get(name)
    if (change === undefined) {
      change = { name, replaces: false, values: [] }
      changes.set(name, change)
    }
    if (operation !== 'APPEND' || isSingleton(name)) {
      change.replaces = true
      change.values.length = 0
    }
    if (operation !== 'REMOVE') change.values.push(value)
  }
  return [...changes.values()]
}

/** Whether a message can do without the header: not `Host` and the pseudo headers of HTTP/2. */
export function isRemovable(name: string): boolean {
  return name !== 'host' && !name.startsWith(':')
}
