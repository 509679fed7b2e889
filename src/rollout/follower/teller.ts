// Tells the others how this process fares: every second while a rollout is under way, and now and then that it is there.

import { randomUUID } from 'node:crypto'
import type { Clock, Logger } from '../../kernel/ports.ts'
import { type Observation, OBSERVATION_BOUNDS, type ShadowCounts } from '../observation.ts'
import type { Observations } from '../observations.ts'
import type { ShadowFindings } from '../shadow/shadow.ts'
import { type StageCounters, windowMsOf } from '../stage-counters.ts'
import { NO_ROLLOUT, stageKey } from '../state.ts'
import type { BootGuard } from './boot-guard.ts'
import type { Follower } from './follower.ts'
import type { ObservedChecks } from './observed-checks.ts'
import { ruleOf } from './rule-name.ts'

export interface TellerOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly node: string
  readonly kind: Observation['kind']
  readonly follower: Pick<Follower, 'state' | 'running' | 'isAway' | 'namespaces'>
  readonly guard: BootGuard
  readonly observations: Pick<Observations, 'observe' | 'vote'>
  readonly counters: StageCounters
  readonly checks: ObservedChecks
  /** Whether the process can serve. */
  isHealthy(this: void): boolean
  /** A version has proved itself here. */
  onProved(this: void): void
}

const BEAT_MS = 1_000
/** How often a process says that it is there while no rollout is under way, in beats. */
const IDLE_BEATS = 20
/** How long a process must have served well by a version, in ms. */
export const PROOF_MS = 60_000

export class Teller {
  readonly #options: TellerOptions
  readonly #start = randomUUID()
  #beats = 0
  #toldRev = -1
  #isLeaving = false
  /** Since when the process has served well without a pause, and by which version. */
  #well: { readonly version: string; readonly since: number } | undefined
  #isTrouble = false
  #cancel: () => void = () => undefined
  #isStopped = false

  constructor(options: TellerOptions) {
    this.#options = options
  }

  /** Tells now, and from time to time from now on. */
  start(): void {
    void this.beat().then(() => {
      if (!this.#isStopped) this.#cancel = this.#options.clock.after(BEAT_MS, () => this.start())
    })
  }

  /** Never rejects. */
  async beat(): Promise<void> {
    this.#prove()
    const { follower, counters, checks } = this.#options
    const { state, running } = follower
    checks.isCounting = state?.rollout !== undefined
    checks.namespaces = follower.namespaces
    const known = state ?? NO_ROLLOUT
    counters.enter(stageKey(known), running, windowMsOf(known))
    if (follower.isAway || state === undefined) return
    await this.tellBad()
    const isDue = state.rollout !== undefined || state.rev !== this.#toldRev || this.#beats++ % IDLE_BEATS === 0
    if (isDue) await this.#observe()
  }

  /** Votes against versions that are bad here, where that was not done yet. Never rejects. */
  async tellBad(): Promise<void> {
    const { guard, observations, node } = this.#options
    // The last word of a process is its vote: the latest one has to come last.
    for (const bad of guard.records.bad.filter(({ isTold }) => !isTold).toReversed()) {
      const { version, rollout, reason } = bad
      const isTold = await this.#try(() => observations.vote({ node, version, rollout, reason }))
      if (isTold) guard.told(bad)
    }
  }

  /** This process will end in good order: that it falls silent means nothing. */
  async leave(): Promise<void> {
    this.#isLeaving = true
    if (this.#options.follower.state !== undefined) await this.#observe()
  }

  stop(): void {
    this.#isStopped = true
    this.#cancel()
  }

  #prove(): void {
    const { clock, follower, guard, isHealthy, onProved } = this.#options
    const { running } = follower
    if (running === undefined || !isHealthy()) {
      this.#well = undefined
      return
    }
    const now = clock.monotonic()
    if (this.#well?.version !== running) this.#well = { version: running, since: now }
    if (now - this.#well.since < PROOF_MS || guard.isConfirmed(running)) return
    guard.confirm(running)
    onProved()
  }

  async #observe(): Promise<void> {
    const { follower, observations, node, kind, counters, checks, isHealthy } = this.#options
    const { state, running } = follower
    if (state === undefined) return
    const observation: Observation = {
      start: this.#start,
      kind,
      version: running,
      stage: stageKey(state),
      rev: state.rev,
      isHealthy: isHealthy(),
      isLeaving: this.#isLeaving,
      counters: counters.counters(),
      shadow: checks.shadow && countsOf(checks.shadow.findings()),
    }
    if (await this.#try(() => observations.observe(node, observation))) this.#toldRev = state.rev
  }

  async #try(tell: () => Promise<void>): Promise<boolean> {
    try {
      await tell()
      this.#isTrouble = false
      return true
    } catch (error) {
      if (!this.#isTrouble)
        this.#options.log.warn({ err: error }, 'what this process has to say of a rollout is not heard')
      this.#isTrouble = true
      return false
    }
  }
}

function countsOf({ pairs, incomparable, failed, flips }: ShadowFindings): ShadowCounts {
  const { examples, exampleLength } = OBSERVATION_BOUNDS
  return {
    pairs,
    // That comparing failed tells as little.
    incomparable: incomparable + failed,
    flips: flips.slice(0, OBSERVATION_BOUNDS.flips).map((flip) => ({
      ...flip,
      rule: ruleOf(flip.rule),
      examples: flip.examples.slice(0, examples).map((text) => text.slice(0, exampleLength)),
    })),
  }
}
