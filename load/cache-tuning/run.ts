// A memory that divides itself, against the best division that stays as it is.

import { CacheTuner } from '../../src/cache/tuning/cache-tuner.ts'
import { answerCache, type Ask, askAnswers, askVerdicts, verdictTier } from './simulated-caches.ts'
import { TimedClock } from './timed-clock.ts'
import { type Part, PARTS, type Phase, picker, type Workload } from './workloads.ts'

export interface RunOptions {
  readonly memoryBytes: number
  readonly requestsPerSecond: number
  readonly minutes: number
  readonly seed: number
  /** In how many steps of the memory the best division is looked for; 20 unless told. */
  readonly steps?: number
}

export interface PhaseOutcome {
  /** Hit ratio of the last minute before the time was over. */
  readonly hitRatio: number
  readonly bestRatio: number
  /** Shares of the divided memory. */
  readonly sizes: Readonly<Record<Part, number>>
  readonly best: Readonly<Record<Part, number>>
  /** Of each minute, the hit ratio. */
  readonly byMinute: readonly number[]
}

export interface RunOutcome {
  readonly phases: readonly PhaseOutcome[]
  readonly moves: number
  readonly movesBack: number
  /** The most that bounds of all caches, and what they held, were of the memory that is divided. */
  readonly mostBound: number
  readonly mostHeld: number
}

const NO_LOG = { debug() {}, info() {}, warn() {}, error() {}, child: () => NO_LOG }
const SECONDS = 60

/** Runs a workload through caches that are tuned, from half for answers and a quarter for each handler. */
export function runTuned(workload: Workload, options: RunOptions): RunOutcome {
  const { memoryBytes, requestsPerSecond, minutes, seed } = options
  const clock = new TimedClock()
  const tuner = new CacheTuner({ clock, log: NO_LOG, memoryBytes, secondsPerUnit: 0, costPerCall: () => 0 })
  const answers = tuner.join('answers', 'answers', answerCache)
  const a = tuner.join('a', 'verdicts', verdictTier)
  const b = tuner.join('b', 'verdicts', verdictTier)
  const ask: Record<Part, Ask> = {
    answers: askAnswers(answers.cache),
    a: askVerdicts(a.cache),
    b: askVerdicts(b.cache),
  }
  const costs = { answers: answers.costs, a: a.costs, b: b.costs }
  const caches = { answers: answers.cache, a: a.cache, b: b.cache }
  tuner.start()
  const divided = tuner.dividedBytes
  let [mostBound, mostHeld] = [0, 0]
  const phases = workload.phases(seed).map((phase, index) => {
    const pick = picker(phase, seed + index)
    const byMinute: number[] = []
    for (let minute = 0; minute < minutes; minute++) {
      let hits = 0
      for (let second = 0; second < SECONDS; second++) {
        for (let i = 0; i < requestsPerSecond; i++) {
          const part = pick()
          if (ask[part](phase[part].stream())) hits++
          else costs[part].record(10, true)
        }
        // Moves go on for a while: what is bound and held is looked at on the way, too.
        for (let step = 0; step < 10; step++) {
          clock.advance(100)
          mostBound = Math.max(mostBound, tuner.boundBytes / divided)
          mostHeld = Math.max(mostHeld, (caches.answers.bytes + caches.a.bytes + caches.b.bytes) / divided)
        }
      }
      byMinute.push(hits / (SECONDS * requestsPerSecond))
    }
    const { best, ratio } = bestFixed(workload.phases(seed)[index] as Phase, { ...options, divided })
    const sizes = {
      answers: caches.answers.maxBytes / divided,
      a: caches.a.maxBytes / divided,
      b: caches.b.maxBytes / divided,
    }
    return { hitRatio: byMinute.at(-1) ?? 0, bestRatio: ratio, sizes, best, byMinute }
  })
  const { moves } = tuner.view()
  tuner.stop()
  return { phases, moves: moves.move + moves.shrink, movesBack: moves.back, mostBound, mostHeld }
}

/** The division that finds most: each cache is run at each size until it is warm, then for another while. */
function bestFixed(phase: Phase, options: RunOptions & { divided: number }) {
  const { divided, requestsPerSecond, minutes, steps = 20 } = options
  const grid = [0.01, ...Array.from({ length: steps - 1 }, (_, i) => (i + 1) / steps), 0.98]
  const requests = requestsPerSecond * SECONDS * minutes
  const ratios = {} as Record<Part, number[]>
  for (const part of PARTS) {
    const { share, stream } = phase[part]
    const count = Math.floor(requests * share)
    const keys = Int32Array.from({ length: count }, stream)
    ratios[part] = grid.map((size) => {
      const bytes = Math.floor(size * divided)
      const ask = part === 'answers' ? askAnswers(answerCache(bytes)) : askVerdicts(verdictTier(bytes))
      let hits = 0
      for (const [at, key] of keys.entries()) if (ask(key) && at >= count * 0.8) hits++
      return hits / (count - Math.ceil(count * 0.8))
    })
  }
  let best = { ratio: 0, best: { answers: 0, a: 0, b: 0 } }
  for (const [i, answers] of grid.entries()) {
    for (const [j, a] of grid.entries()) {
      const b = grid.findLastIndex((size) => answers + a + size <= 1 + 1e-9)
      if (b < 0) continue
      const ratio =
        phase.answers.share * (ratios.answers[i] ?? 0) +
        phase.a.share * (ratios.a[j] ?? 0) +
        phase.b.share * (ratios.b[b] ?? 0)
      if (ratio > best.ratio) best = { ratio, best: { answers, a, b: grid[b] ?? 0 } }
    }
  }
  return best
}
