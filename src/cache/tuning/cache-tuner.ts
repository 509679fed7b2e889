// Divides one memory between the caches of a process while they are used: whole answers, and the verdicts of each handler.

import type { Clock, Logger } from '../../kernel/ports.ts'
import type { LookupWatch } from '../lookup-watch.ts'
import { type Decision, TuningController, type WatchedPart, within } from './controller.ts'
import { missAt, standardError } from './curve.ts'
import { CurveSampler } from './curve-sampler.ts'
import { divide, type Division, floorOf } from './division.ts'
import type { YieldingCaches } from './memory-watch.ts'
import { MissCosts } from './miss-costs.ts'
import { Mover } from './mover.ts'
import { type TunedCache, TunedPart } from './tuned-part.ts'
import type { PartView, TuningView } from './tuning-view.ts'

export interface CacheTunerOptions {
  readonly clock: Clock
  readonly log: Logger
  /** For all that the node's own cache takes, in bytes. */
  readonly memoryBytes: number
  /** The waiting, in seconds, that one unit of money is worth. */
  readonly secondsPerUnit: number
  /** What a call of a handler's backend costs in money. */
  costPerCall(handler: string): number
}

/** Shares of the memory: what is divided, and what samples take; the rest is for what verdicts are refreshed with. */
const DIVIDED_SHARE = 0.7
const SAMPLE_SHARE = 0.16
/** Of what samples take, what they hold: with less than that of 4 MB they do not see a loop. */
const HELD_SAMPLE_SHARE = 0.11
export const WATCHED_SHARE = 1 - DIVIDED_SHARE - SAMPLE_SHARE
/** Before anything is known. */
const ANSWERS_SHARE = 0.5
/** Entries that a sample of all the memory is to have, and what an entry takes, roughly. */
const SAMPLED_ENTRIES = 6_000
const ENTRY_BYTES = 300
const MIN_RATE = 0.002
const MAX_RATE = 0.03
/** Samples grow within a second, and memory moves by what was seen for longer. */
const LOOK_MS = 1_000
const LOOKS_A_TICK = 10
const TICK_MS = LOOKS_A_TICK * LOOK_MS
/** After so long what was counted counts half. */
const HALF_LIFE_MS = 60_000
const FADE = 0.5 ** (TICK_MS / HALF_LIFE_MS)
const MIB = 1024 * 1024
/** So much memory for each cache, so that samples which are empty take a twentieth of it. */
const PART_BYTES = MIB

interface Saved {
  hits: number
  calls: number
  seconds: number
  money: number
}

export class CacheTuner implements YieldingCaches {
  readonly #options: CacheTunerOptions
  readonly #parts = new Map<string, TunedPart>()
  readonly #saved = new Map<string, Saved>()
  readonly #mover: Mover
  readonly #controller: TuningController
  #decision: Decision = { kind: 'stay', reason: 'unknown' }
  readonly #moves = { move: 0, shrink: 0, back: 0 }
  #cancel: (() => void) | undefined
  #looks = 0
  #allowed: number

  constructor(options: CacheTunerOptions) {
    const { clock } = options
    this.#options = options
    this.#allowed = this.mostBytes
    this.#mover = new Mover(clock)
    this.#controller = new TuningController({ now: () => clock.monotonic() })
  }

  /** Caches that the memory is enough for: each takes some for its samples, whatever it holds. */
  get mostParts(): number {
    return Math.max(2, Math.floor(this.#options.memoryBytes / PART_BYTES))
  }

  /** What the caches have together, in bytes; less than `mostBytes` where the process is short of memory. */
  get dividedBytes(): number {
    return this.#allowed
  }

  get allowedBytes(): number {
    return this.#allowed
  }

  get mostBytes(): number {
    return Math.floor(this.#options.memoryBytes * DIVIDED_SHARE)
  }

  get heldBytes(): number {
    return total([...this.#parts.values()], ({ cache }) => cache.bytes)
  }

  /** Of all that is for caches, the share that they may use now. */
  get #allowedShare(): number {
    return this.#allowed / this.mostBytes
  }

  /** Changes what is divided: all caches have less, or more, in proportion. */
  allow(bytes: number): void {
    const factor = bytes / this.#allowed
    this.#allowed = bytes
    this.#resize(within(new Map([...this.#sizes()].map(([id, size]) => [id, size * factor])), bytes))
    this.#controller.disturb()
  }

  /** Bounds of all caches together, in bytes: never more than is divided. */
  get boundBytes(): number {
    return total([...this.#parts.values()], ({ cache }) => cache.maxBytes)
  }

  get #isUntouched(): boolean {
    const { move, shrink, back } = this.#moves
    return move + shrink + back === 0
  }

  start(): void {
    this.#cancel = this.#options.clock.after(LOOK_MS, () => {
      this.#looks++
      if (this.#looks % LOOKS_A_TICK === 0) this.#tick()
      this.#boundSamples()
      this.start()
    })
  }

  stop(): void {
    this.#cancel?.()
    this.#mover.stop()
  }

  /**
   * Gives a cache its part of the memory.
   * @param make makes the cache, of so many bytes for now; what it tells of its look-ups goes to the watch
   */
  join<T extends TunedCache>(
    id: string,
    kind: TunedPart['kind'],
    make: (maxBytes: number, watch: LookupWatch) => T,
  ): { readonly cache: T; readonly costs: MissCosts } {
    const { clock, memoryBytes } = this.#options
    const now = clock.monotonic()
    const divided = this.dividedBytes
    const rate = Math.min(MAX_RATE, Math.max(MIN_RATE, (SAMPLED_ENTRIES * ENTRY_BYTES) / memoryBytes))
    const sampler = new CurveSampler({ kind, now: () => clock.monotonic(), rate, bytes: 0, mostBytes: this.mostBytes })
    const cache = make(Math.max(0, divided - this.boundBytes), sampler)
    const part = new TunedPart({ id, kind, cache, sampler, costs: new MissCosts(), createdAt: now })
    // What was free counts for this one until others have made room.
    cache.maxBytes = Math.max(0, Math.min(cache.maxBytes, divided - this.boundBytes))
    this.#parts.set(id, part)
    this.#resize(this.#isUntouched ? this.#firstSizes() : this.#withFloorFor(part))
    return { cache, costs: part.costs }
  }

  /** What a cache had is for others. It is to be empty, and asked no more. */
  leave(id: string): void {
    const part = this.#parts.get(id)
    if (part === undefined) return
    part.cache.maxBytes = 0
    this.#parts.delete(id)
    this.#saved.delete(id)
    this.#resize(this.#isUntouched ? this.#firstSizes() : this.#sizes())
  }

  /** Caches that nobody has asked since a time. */
  idleSince(time: number): readonly string[] {
    return [...this.#parts.values()].filter(({ usedAt }) => usedAt < time).map(({ id }) => id)
  }

  view(): TuningView {
    const readings = this.#readings()
    const target = divide(readings, this.dividedBytes)
    return {
      memoryBytes: this.#options.memoryBytes,
      dividedBytes: this.dividedBytes,
      givenBackBytes: this.mostBytes - this.#allowed,
      sampleBytes: this.#sampleBytes(),
      decision: textOf(this.#decision),
      moves: { ...this.#moves },
      parts: readings.map((reading) => this.#viewOf(reading, target)),
    }
  }

  #tick(): void {
    const now = this.#options.clock.monotonic()
    for (const part of this.#parts.values()) {
      part.look(now, this.#mover.targetOf(part.cache))
      this.#addSavings(part)
    }
    const decision = this.#controller.decide(this.#readings(), this.dividedBytes)
    this.#decision = decision
    if (decision.kind !== 'stay') {
      this.#moves[decision.kind]++
      this.#options.log.debug({ sizes: Object.fromEntries(decision.sizes) }, `caches: ${textOf(decision)}`)
      this.#resize(decision.sizes)
    }
    for (const { sampler, costs } of this.#parts.values()) {
      sampler.fade(FADE)
      costs.fade(FADE)
    }
  }

  #readings(): readonly WatchedPart[] {
    return [...this.#parts.values()].map((part) => {
      const bytes = this.#mover.targetOf(part.cache)
      const { lookups } = part.sampler.curve()
      const perSecond = (lookups * (1 - FADE)) / (TICK_MS / 1_000)
      return part.reading(bytes, perSecond, this.#missCost(part))
    })
  }

  /** In seconds of waiting. */
  #missCost({ id, costs }: TunedPart): number {
    return costs.seconds + costs.callsPerMiss * this.#options.costPerCall(id) * this.#options.secondsPerUnit
  }

  #addSavings({ id, sampler, costs }: TunedPart): void {
    const saved = this.#saved.get(id) ?? { hits: 0, calls: 0, seconds: 0, money: 0 }
    const { lookups, missed } = sampler.counts
    const hits = Math.max(0, Math.round(lookups - missed) - saved.hits)
    const calls = costs.seconds === 0 ? 0 : hits * costs.callsPerMiss
    saved.hits += hits
    saved.calls += calls
    saved.seconds += hits * costs.seconds
    saved.money += calls * this.#options.costPerCall(id)
    this.#saved.set(id, saved)
  }

  #resize(sizes: Division): void {
    const targets = new Map<TunedCache, number>()
    for (const [id, bytes] of sizes) {
      const part = this.#parts.get(id)
      if (part === undefined) continue
      targets.set(part.cache, bytes)
      part.moved(bytes)
    }
    this.#mover.move(targets)
  }

  #sizes(): Map<string, number> {
    return new Map([...this.#parts.values()].map(({ id, cache }) => [id, this.#mover.targetOf(cache)]))
  }

  /** Half for answers, and the other half for all verdicts alike. */
  #firstSizes(): Division {
    const divided = this.dividedBytes
    const parts = [...this.#parts.values()]
    const of = (kind: TunedPart['kind']) => parts.filter((part) => part.kind === kind)
    const [answers, verdicts] = [of('answers').length, of('verdicts').length]
    const share = { answers: (ANSWERS_SHARE * divided) / (answers || 1), verdicts: 0 }
    share.verdicts = (divided * (answers === 0 ? 1 : 1 - ANSWERS_SHARE)) / (verdicts || 1)
    return within(new Map(parts.map(({ id, kind }) => [id, share[kind]])), divided)
  }

  /** All others give way in proportion, where nothing is free. */
  #withFloorFor(joined: TunedPart): Division {
    const divided = this.dividedBytes
    const floor = floorOf(this.#parts.size, divided)
    const sizes = this.#sizes()
    sizes.delete(joined.id)
    return new Map([...within(sizes, divided - floor), [joined.id, Math.floor(floor)]])
  }

  #sampleBytes(): number {
    return total([...this.#parts.values()], ({ sampler }) => sampler.emptyBytes + sampler.entryBytes)
  }

  /** Samples that take too much take fewer keys from now on. */
  #boundSamples(): void {
    const memory = this.#allowedShare * this.#options.memoryBytes
    const samplers = [...this.#parts.values()].map(({ sampler }) => sampler)
    const left = SAMPLE_SHARE * memory - total(samplers, ({ emptyBytes }) => emptyBytes)
    const most = Math.max((SAMPLE_SHARE - HELD_SAMPLE_SHARE) * memory, Math.min(HELD_SAMPLE_SHARE * memory, left))
    while (total(samplers, ({ entryBytes }) => entryBytes) > most) {
      samplers.reduce((one, two) => (two.entryBytes > one.entryBytes ? two : one)).thin()
    }
  }

  #viewOf(reading: WatchedPart, target: Division): PartView {
    const { id, bytes, curve, lookupsPerSecond } = reading
    const part = this.#parts.get(id) as TunedPart
    const { costs, kind, cache, sampler } = part
    const gained = missAt(curve, bytes) - missAt(curve, bytes + MIB)
    return {
      name: id,
      kind,
      bytes: cache.bytes,
      maxBytes: cache.maxBytes,
      recommendedBytes: Math.floor(target.get(id) ?? bytes),
      lookupsPerSecond,
      hitRatio: 1 - sampler.missRatio,
      hitsPerMib: Math.max(0, gained) * lookupsPerSecond,
      missMs: 1_000 * costs.seconds,
      callsPerMiss: costs.callsPerMiss,
      costPerCall: this.#options.costPerCall(id),
      curve: curve.points.map(({ bytes: size, miss, replicas }) => {
        return { bytes: Math.floor(size), hitRatio: 1 - miss, band: 2 * standardError(replicas) }
      }),
      saved: this.#saved.get(id) ?? { hits: 0, calls: 0, seconds: 0, money: 0 },
    }
  }
}

function total<T>(all: readonly T[], of: (each: T) => number): number {
  return all.reduce((sum, each) => sum + of(each), 0)
}

function textOf(decision: Decision): string {
  return decision.kind === 'stay' ? decision.reason : decision.kind
}
