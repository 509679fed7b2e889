// What goes wrong, and when: fixed by the seed before the run. Nodes, workers, Redis and the backend have faults of their
// own, at the same time as those of others.

import { exponential } from '../random.ts'

const KINDS = {
  node: ['kill', 'stop', 'pause'],
  worker: ['kill', 'stop', 'pause'],
  redis: ['kill', 'pause', 'fill'],
  backend: ['fails', 'flaky', 'flaky'],
} as const

export type Target = keyof typeof KINDS

export interface Fault {
  readonly target: Target
  readonly kind: (typeof KINDS)[Target][number]
  /** Which node or worker. */
  readonly index: number
  /** Milliseconds from the start of the run. */
  readonly at: number
  readonly forMs: number
}

export interface Pace {
  readonly durationMs: number
  /** Mean time between the end of a fault and the next one of the same target. */
  readonly calmMs: number
  /** The longest fault. */
  readonly longestMs: number
}

const SHORTEST_MS = 300

/** All faults in order of time, none beyond the run's end. Each target takes its kinds from a shuffled deck, so that none is left out. */
export function schedule({ durationMs, calmMs, longestMs }: Pace, random: () => number): readonly Fault[] {
  const faults: Fault[] = []
  for (const target of Object.keys(KINDS) as Target[]) {
    let deck: Fault['kind'][] = []
    for (let at = (calmMs / 2) * random(); ; ) {
      if (deck.length === 0) deck = shuffled(KINDS[target], random)
      const forMs = SHORTEST_MS + (longestMs - SHORTEST_MS) * random()
      if (at + forMs > durationMs) break
      faults.push({ target, kind: deck.pop() ?? 'kill', index: Math.floor(random() * 2), at, forMs })
      at += forMs + exponential(calmMs, random)
    }
  }
  return faults.sort((a, b) => a.at - b.at)
}

function shuffled<T>(values: readonly T[], random: () => number): T[] {
  const deck = [...values]
  for (let at = deck.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1))
    const [a, b] = [deck[at], deck[other]] as [T, T]
    deck[at] = b
    deck[other] = a
  }
  return deck
}
