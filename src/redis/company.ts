// What is asked of Redis again and again and need not be on time: it goes along with what is asked more often, in one write.
// For Redis a call that comes alone costs more than what most of them do.

import type { Clock } from '../kernel/ports.ts'
import type { RedisLink } from './connection.ts'

/** Of the time after which a callback is due, so much more may pass until another call leaves. */
const SLACK = 0.2

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
