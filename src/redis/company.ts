// What is asked of Redis again and again and need not be on time: it goes along with what is asked more often, in one write.
// For Redis a call that comes alone costs more than what most of them do.

import type { Clock } from '../kernel/ports.ts'
import type { RedisLink } from './connection.ts'

/** Of the time after which a callback is due, so much more may pass until another call leaves. */
const SLACK = 0.2

/** Up to so many processes say everything at its own interval; more of them say it less often, at most a quarter as often. */
const CROWD = 2_000
const MOST_STRETCHED = 4

const crowds = new WeakMap<RedisLink, number>()

/** Notes how many processes there are that talk to the Redis of a link. */
export function noteCrowd(link: RedisLink, processes: number): void {
  crowds.set(link, processes)
}

/** An interval of something that all processes do, for as many as there are: together they ask no more than some thousands would. */
export function stretched(everyMs: number, processes: number): number {
  return Math.round(everyMs * Math.min(MOST_STRETCHED, Math.max(1, processes / CROWD)))
}

/** The same for as many as were noted of the link. */
export function stretchedFor(link: RedisLink, everyMs: number): number {
  return stretched(everyMs, crowds.get(link) ?? 1)
}

const waiting = new WeakMap<RedisLink, Set<() => void>>()

/** Calls back when `ms` have passed and something else is sent over the link, or soon after; the returned function ends that. */
export function inCompany(link: RedisLink, clock: Clock, ms: number, callback: () => void): () => void {
  const dueAt = clock.monotonic() + ms
  const those = waiting.get(link) ?? new Set()
  waiting.set(link, those)
  const cancel = () => {
    cancelTimer()
    those.delete(onDeparture)
  }
  const run = () => {
    cancel()
    callback()
  }
  const onDeparture = () => {
    if (clock.monotonic() >= dueAt) run()
  }
  const cancelTimer = clock.after(ms * (1 + SLACK), run)
  those.add(onDeparture)
  return cancel
}

/** To be called by whoever sends something over the link at short intervals, in the same turn. */
export function departing(link: RedisLink): void {
  // Who is called may wait again at once: its next time is later.
  for (const onDeparture of Array.from(waiting.get(link) ?? [])) onDeparture()
}
