// What comes of a request at a filter, and what has to come of it by an answer of the oracle.

import type { HeaderLine } from '../../helpers/proxy-wasm/header-lines.ts'
import type { Told } from '../oracle/answer.ts'
import { CALL_FAILED } from '../oracle/values.ts'
import { objectionsTold, withoutCall } from '../told.ts'

/** Passed on with these headers, or replied to. Calls have no numbers here. */
export interface Seen {
  /** 0 where the request goes on. */
  readonly status: number
  readonly body: string
  readonly request: readonly string[]
  readonly response: readonly string[]
}

/** How the upstream answers whatever goes on. */
export const UPSTREAM: readonly HeaderLine[] = [
  [':status', '200'],
  ['x-a', 'of the upstream'],
]

const STATUS = new Map([
  [3, 400],
  [5, 404],
  [7, 403],
  [16, 401],
])
/** Of calls that failed: DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE. */
const FAILED_STATUSES = [504, 500, 503]

/** Headers in a form in which they can be compared: it does not matter in how many lines one comes. */
export function linesTold(lines: readonly HeaderLine[]): readonly string[] {
  const joined = new Map<string, string>()
  for (const [name, value] of lines) {
    const before = joined.get(name)
    joined.set(name, before === undefined ? value : `${before},${value}`)
  }
  return Array.from(joined, ([name, value]) => `${name}=${withoutCall(value)}`).toSorted()
}

/** Whether this is what an answer leads to. Of objections only those of handlers are told with their very words. */
export function isLedTo(seen: Seen, told: Told, headers: readonly HeaderLine[]): boolean {
  if (told.code === 0) {
    return (
      seen.status === 0 &&
      isSame(seen.request, linesTold(applied(headers, told.requestHeaders, true))) &&
      isSame(seen.response, linesTold(applied(UPSTREAM, told.responseHeaders, false)))
    )
  }
  const direct = told.directResponse
  if (direct !== undefined) {
    const [, code = '', body = '', fields = ''] = /^(\d+) (.*) (\[.*\])$/s.exec(direct) ?? []
    const lines = JSON.parse(fields) as readonly HeaderLine[]
    return seen.status === Number(code) && seen.body === body && includesAll(seen.response, linesTold(lines))
  }
  const isStatus =
    told.code === CALL_FAILED ? FAILED_STATUSES.includes(seen.status) : STATUS.get(told.code) === seen.status
  return isStatus && isSame(objectionsTold(seen.body), told.objections)
}

function isSame(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((text, i) => text === others[i])
}

function includesAll(some: readonly string[], others: readonly string[]): boolean {
  return others.every((text) => some.includes(text))
}

/** The headers after all operations, one after the other. */
function applied(
  lines: readonly HeaderLine[],
  operations: readonly string[],
  isRequest: boolean,
): readonly HeaderLine[] {
  let all = [...lines]
  const emptied = new Set<string>()
  for (const operation of operations) {
    const [, kind, given = '', value = ''] = /^(\w+) ([^=]+)(?:=(.*))?$/s.exec(operation) ?? []
    const name = given === 'host' && isRequest ? ':authority' : given
    const isOnce = given === 'host'
    if (kind === 'APPEND' && !isOnce) {
      if (emptied.delete(name)) all = all.filter((line) => line[0] !== name)
      all.push([name, clean(value)])
      continue
    }
    if (kind === 'REMOVE') {
      emptied.add(name)
      continue
    }
    emptied.delete(name)
    all = [...all.filter((line) => line[0] !== name), [name, clean(value)]]
  }
  // There is no request without a host.
  return all.filter(([name]) => !emptied.has(name) || name === ':authority')
}

/** As it is on the wire: a byte is a character. */
const clean = (text: string) => Buffer.from(text.replaceAll(/^[ \t]+|[ \t]+$/g, '')).toString('latin1')

/** The numbers of the calls that it shows to be made of. */
export function callsSeen({ body }: { readonly body: string }, lines: readonly HeaderLine[]): ReadonlySet<string> {
  const texts = [body, ...lines.map(([, value]) => value)]
  return new Set(texts.flatMap((text) => text.match(/#\d+/g) ?? []))
}
