// What caches that share a memory are asked, before and after a shift.

import { seededRandom } from '../random.ts'
import { ZipfSampler } from '../zipf.ts'

/** Keys that are asked for, one after the other. */
export type Stream = () => number

/** Look-ups of one cache: its share of all, and what they ask for. */
export interface Demand {
  readonly share: number
  readonly stream: Stream
}

/** Whole answers, and verdicts of two handlers. */
export const PARTS = ['answers', 'a', 'b'] as const
export type Part = (typeof PARTS)[number]
export type Phase = Readonly<Record<Part, Demand>>

export interface Workload {
  readonly name: string
  /** Each phase anew, with the same keys for the same seed. */
  phases(seed: number): readonly [before: Phase, after: Phase]
}

const zipf = (keys: number, exponent: number, seed: number, from = 0): Stream => {
  const sampler = new ZipfSampler(keys, exponent, seededRandom(seed))
  return () => from + sampler.next()
}

const loop = (keys: number): Stream => {
  let next = 0
  return () => next++ % keys
}

/** Keys that come once, beside popular ones. */
const oneHits = (share: number, popular: Stream, seed: number): Stream => {
  const random = seededRandom(seed)
  let next = 1e6
  return () => (random() < share ? next++ : popular())
}

export const WORKLOADS: readonly Workload[] = [
  {
    name: 'popular keys change handler',
    phases: (seed) => {
      const many = () => zipf(60_000, 0.9, seed)
      const few = () => zipf(1_000, 1.2, seed + 1)
      const answers = { share: 0.2, stream: oneHits(0.7, zipf(500, 1, seed + 2), seed + 3) }
      return [
        { answers, a: { share: 0.6, stream: many() }, b: { share: 0.2, stream: few() } },
        { answers, a: { share: 0.2, stream: few() }, b: { share: 0.6, stream: many() } },
      ]
    },
  },
  {
    name: 'a loop comes and goes',
    phases: (seed) => {
      const answers = { share: 0.3, stream: zipf(50_000, 0.8, seed) }
      const b = { share: 0.3, stream: zipf(50_000, 1, seed + 1) }
      return [
        { answers, a: { share: 0.4, stream: loop(7_000) }, b },
        { answers, a: { share: 0.4, stream: zipf(300, 0.5, seed + 2, 1e6) }, b },
      ]
    },
  },
  {
    name: 'requests move from verdicts to answers',
    phases: (seed) => [
      {
        answers: { share: 0.05, stream: zipf(60_000, 0.8, seed) },
        a: { share: 0.75, stream: zipf(60_000, 0.8, seed + 1) },
        b: { share: 0.2, stream: zipf(2_000, 1, seed + 2) },
      },
      {
        answers: { share: 0.8, stream: zipf(60_000, 0.8, seed, 1e6) },
        a: { share: 0.1, stream: zipf(60_000, 0.8, seed + 1, 1e6) },
        b: { share: 0.1, stream: zipf(2_000, 1, seed + 2) },
      },
    ],
  },
]

/** Which part the next look-up is for. */
export function picker(phase: Phase, seed: number): () => Part {
  const random = seededRandom(seed)
  return () => {
    let left = random()
    for (const part of PARTS) {
      left -= phase[part].share
      if (left < 0) return part
    }
    return 'b'
  }
}
