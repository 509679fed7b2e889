// What goes wrong, and when: fixed by the seed before the run. Nodes, workers, Redis and the backend have faults of their
// own, at the same time as those of others.

import { exponential } from '../random.ts'

const KINDS = {
  node: ['kill', 'stop', 'pause'],
  worker: ['kill', 'stop', 'pause'],
  redis: ['kill', 'pause', 'crowd', 'fill'],
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

/** How long the run of `EACH_ONCE` takes. */
export const EACH_ONCE_MS = 20_000

/** Each kind of fault once, those that are worse together at the same time: for short runs. */
export const EACH_ONCE: readonly Fault[] = faults(
  ['redis', 'fill', 0, 1_000, 2_500],
  ['worker', 'kill', 0, 1_500, 500],
  ['backend', 'flaky', 0, 2_000, 3_000],
  // A node dies while Redis is away, with all that it could not hand on.
  ['redis', 'kill', 0, 6_000, 4_000],
  ['node', 'kill', 0, 8_000, 500],
  ['worker', 'pause', 1, 7_000, 2_000],
  // A node ends in good order while Redis stands still, and the backend is away.
  ['redis', 'pause', 0, 13_000, 2_000],
  ['node', 'stop', 1, 13_500, 500],
  ['backend', 'fails', 0, 12_000, 4_000],
  ['worker', 'stop', 1, 15_000, 500],
  ['redis', 'crowd', 0, 16_000, 2_000],
  ['node', 'pause', 0, 17_000, 1_500],
)

function faults(
  ...of: readonly (readonly [Target, Fault['kind'], index: number, at: number, forMs: number])[]
): Fault[] {
  return of.map(([target, kind, index, at, forMs]) => ({ target, kind, index, at, forMs }))
}
