// How often backends were asked, measured against what a single perfect cache for the whole mesh would have asked.

import type { BackendCall } from './backend-control.ts'

/** When each key was asked about, in ms, by path. */
export type TimesByKey = ReadonlyMap<string, readonly number[]>

export interface CallFigures {
  readonly keys: number
  readonly calls: number
  /** Calls of one perfect cache with the same requests: one when a key is wanted and its last verdict is over. */
  readonly ideal: number
  readonly callsPerIdeal: number
  /** Keys that were wanted several times in each lifetime. */
  readonly hotKeys: number
  /** Calls a lifetime of those keys, from the time between their calls, so that the ends of the run do not count. */
  readonly hotCallsPerLifetime: number
  /** Calls of those keys that came within half a lifetime of the call before: two nodes fetched the same. */
  readonly duplicates: number
}

/** A key that is wanted so often in a lifetime hardly ever waits for someone to want it again. */
const HOT = 5

/** Compares the calls that backends noted with the requests that were made. */
export function callFigures(calls: readonly BackendCall[], requests: TimesByKey, lifetimeMs: number): CallFigures {
  const called = timesByPath(calls)
  let ideal = 0
  let hotKeys = 0
  let hotSpans = 0
  let hotGaps = 0
  let duplicates = 0
  const first = Math.min(...[...requests.values()].map((times) => times[0] ?? Number.POSITIVE_INFINITY))
  const last = Math.max(...[...requests.values()].map((times) => times.at(-1) ?? 0))
  const lifetimes = Math.floor((last - first) / lifetimeMs)
  for (const [path, times] of requests) {
    ideal += idealCalls(times, lifetimeMs)
    if (!wantedThroughout(times, { first, lifetimes, lifetimeMs })) continue
    const own = called.get(path) ?? []
    if (own.length < 2) continue
    hotKeys++
    hotGaps += own.length - 1
    hotSpans += (own.at(-1) ?? 0) - (own[0] ?? 0)
    for (const [index, at] of own.entries()) if (index > 0 && at - (own[index - 1] ?? 0) < lifetimeMs / 2) duplicates++
  }
  return {
    keys: requests.size,
    calls: calls.length,
    ideal,
    callsPerIdeal: calls.length / Math.max(1, ideal),
    hotKeys,
    hotCallsPerLifetime: hotSpans === 0 ? 0 : (hotGaps * lifetimeMs) / hotSpans,
    duplicates,
  }
}

/** Calls that a perfect cache makes for requests at these ascending times. */
export function idealCalls(times: readonly number[], lifetimeMs: number): number {
  let calls = 0
  let until = Number.NEGATIVE_INFINITY
  for (const at of times) {
    if (at < until) continue
    calls++
    until = at + lifetimeMs
  }
  return calls
}

function wantedThroughout(
  times: readonly number[],
  { first, lifetimes, lifetimeMs }: { first: number; lifetimes: number; lifetimeMs: number },
): boolean {
  const seen = new Map<number, number>()
  for (const at of times) {
    const lifetime = Math.floor((at - first) / lifetimeMs)
    seen.set(lifetime, (seen.get(lifetime) ?? 0) + 1)
  }
  for (let lifetime = 0; lifetime < lifetimes; lifetime++) if ((seen.get(lifetime) ?? 0) < HOT) return false
  return lifetimes > 0
}

function timesByPath(calls: readonly BackendCall[]): TimesByKey {
  const times = new Map<string, number[]>()
  for (const [, path, at] of calls) {
    const list = times.get(path)
    if (list === undefined) times.set(path, [at])
    else list.push(at)
  }
  return times
}
