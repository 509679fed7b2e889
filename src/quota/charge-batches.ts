// Charges of many requests in one run of the script: what comes in one turn of the event loop leaves together, and while Redis
// has two such batches under way, what comes meanwhile waits for one of them, but not long. So the busier a node is, the less
// a charge costs it and Redis.

import type { ChargeMode } from '../adapter-kit/limits.ts'
import type { Clock } from '../kernel/ports.ts'
import type { WindowCharge, WindowOutcome } from './charge.ts'

/** Charges of one run, which Redis does nothing else beside: about half a millisecond. */
const MOST_CHARGES = 100
const MOST_UNDER_WAY = 2
/** Where Redis is far away its answers are not waited for. */
const LONGEST_WAIT_MS = 1

/** How charges are settled that do not depend on each other. */
export type SingleMode = Extract<ChargeMode, 'each' | 'count'>

/** What waits for an answer. */
export interface Patience {
  /** On the monotonic clock; infinite where the link's own time is all that ends it. */
  readonly deadline: number
  /** Hears of what was charged although it had been rejected. */
  readonly onCharged?: ((charge: WindowCharge, outcome: WindowOutcome) => void) | undefined
}

interface Waiting extends Patience {
  readonly charges: readonly WindowCharge[]
  readonly resolve: (outcomes: WindowOutcome[]) => void
  readonly reject: (error: unknown) => void
}

export interface BatchRun {
  readonly mode: SingleMode
  /** Of the one that waits longest. */
  readonly deadline: number
  /** Takes the outcomes that come although the run was rejected. */
  readonly onLate: (outcomes: readonly WindowOutcome[]) => void
}

export interface ChargeBatchesOptions {
  readonly clock: Clock
  readonly mode: SingleMode
  /** Settles charges in their order, the same counter several times where it comes several times. */
  readonly run: (charges: readonly WindowCharge[], options: BatchRun) => Promise<readonly WindowOutcome[]>
}

export class ChargeBatches {
  readonly #options: ChargeBatchesOptions
  #waiting: Waiting[] = []
  #underWay = 0
  #isDue = false
  #cancelWait: (() => void) | undefined

  constructor(options: ChargeBatchesOptions) {
    this.#options = options
  }

  /** The outcomes of these charges alone; it rejects as the run does that they were part of. */
  charge(charges: readonly WindowCharge[], { deadline, onCharged }: Patience): Promise<WindowOutcome[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ charges, deadline, onCharged, resolve, reject })
      if (this.#isDue || this.#cancelWait !== undefined) return
      if (this.#underWay < MOST_UNDER_WAY) {
        this.#isDue = true
        setImmediate(() => this.#send())
      } else {
        this.#cancelWait = this.#options.clock.after(LONGEST_WAIT_MS, () => this.#send())
      }
    })
  }

  #send(): void {
    this.#isDue = false
    this.#cancelWait?.()
    this.#cancelWait = undefined
    const waiting = this.#waiting
    this.#waiting = []
    let from = 0
    let size = 0
    for (let at = 0; at < waiting.length; at++) {
      const { length } = (waiting[at] as Waiting).charges
      if (size > 0 && size + length > MOST_CHARGES) {
        void this.#run(waiting.slice(from, at))
        from = at
        size = 0
      }
      size += length
    }
    if (size > 0) void this.#run(waiting.slice(from))
  }

  async #run(batch: readonly Waiting[]): Promise<void> {
    const { run, mode } = this.#options
    this.#underWay++
    try {
      const { joined, shared } = join(batch, mode)
      let deadline = 0
      for (const each of batch) deadline = Math.max(deadline, each.deadline)
      const onLate = (late: readonly WindowOutcome[]) => tellLate(batch, shared(late))
      const outcomes = shared(await run(joined, { mode, deadline, onLate }))
      let from = 0
      for (const { charges, resolve } of batch) resolve(outcomes.slice(from, (from += charges.length)))
    } catch (error) {
      for (const { reject } of batch) reject(error)
    } finally {
      this.#underWay--
      if (this.#waiting.length > 0 && !this.#isDue) this.#send()
    }
  }
}

function tellLate(batch: readonly Waiting[], outcomes: readonly WindowOutcome[]): void {
  let at = 0
  for (const { charges, onCharged } of batch)
    for (const charge of charges) onCharged?.(charge, outcomes[at++] as WindowOutcome)
}

/**
 * All charges of a batch. Where refused amounts count, too, those of one window are one charge: what each of them met
 * follows from what all of them left.
 */
function join(
  batch: readonly Waiting[],
  mode: SingleMode,
): {
  readonly joined: readonly WindowCharge[]
  readonly shared: (outcomes: readonly WindowOutcome[]) => readonly WindowOutcome[]
} {
  const all = batch.flatMap(({ charges }) => charges)
  if (mode !== 'count') return { joined: all, shared: (outcomes) => outcomes }
  const places = new Map<string, number>()
  const joined: WindowCharge[] = []
  const placeOf = all.map((charge) => {
    const { key, rule, amount } = charge
    const known = places.get(key)
    const earlier = known === undefined ? undefined : joined[known]
    if (known !== undefined && earlier !== undefined && isSameWindow(earlier, charge)) {
      joined[known] = { ...earlier, amount: earlier.amount + amount }
      return known
    }
    if (rule.algorithm === 'fixedWindow' && amount >= 0) places.set(key, joined.length)
    return joined.push(charge) - 1
  })
  if (joined.length === all.length) return { joined, shared: (outcomes) => outcomes }
  const shared = (outcomes: readonly WindowOutcome[]) => {
    const later = new Map<number, number>()
    const met: WindowOutcome[] = []
    for (let at = all.length - 1; at >= 0; at--) {
      const charge = all[at] as WindowCharge
      const place = placeOf[at] as number
      const outcome = outcomes[place] as WindowOutcome
      const since = later.get(place) ?? 0
      later.set(place, since + charge.amount)
      met[at] = joined[place] === charge ? outcome : before(outcome, charge, since)
    }
    return met
  }
  return { joined, shared }
}

/** What a charge of a fixed window met, before so much more was charged. */
function before(after: WindowOutcome, { amount, rule }: WindowCharge, since: number): WindowOutcome {
  const left = after.left + since
  const isExceeded = amount > 0 && left < 0
  const retryAfterMs = !isExceeded ? 0 : amount > rule.amount ? Number.POSITIVE_INFINITY : after.resetMs
  const resetMs = left < rule.amount ? after.resetMs : 0
  return { granted: isExceeded ? 0 : amount, isExceeded, left, resetMs, retryAfterMs, window: after.window }
}

function isSameWindow(one: WindowCharge, other: WindowCharge): boolean {
  return (
    other.amount >= 0 &&
    (one.ahead ?? 0) === 0 &&
    (other.ahead ?? 0) === 0 &&
    one.rule.algorithm === 'fixedWindow' &&
    other.rule.algorithm === 'fixedWindow' &&
    (one.window ?? 0) === (other.window ?? 0) &&
    one.rule.amount === other.rule.amount &&
    one.rule.windowMs === other.rule.windowMs &&
    one.rule.from === other.rule.from
  )
}
