// Leads rollouts: one node at a time holds the lease, judges what processes say, and writes what follows. Any node may; the
// state is all that one leaves to the next.

import { IntermixError } from '../kernel/errors.ts'
import { ROLLOUT_TRANSITIONS_TOTAL } from '../kernel/metrics/rollout.ts'
import type { Clock, Logger, Meter } from '../kernel/ports.ts'
import { firstOf } from './cohort.ts'
import { type Decision, judge } from './judge.ts'
import type { Observed, Observations } from './observations.ts'
import type { Applied, Lease, RolloutStore, StateView, Wish } from './rollout-store.ts'
import { situationOf } from './situation.ts'
import { type Rollout, stageKey } from './state.ts'
import type { VersionStore } from './version-store.ts'
import { type ConfigVersion, shortId } from './version.ts'

/** What trying a version found. `unknown`: it could not be tried here; another attempt is made, by another node if there is one. */
export interface PreflightResult {
  readonly verdict: 'pass' | 'fail' | 'unknown'
  readonly reason: string
}

export interface ControllerOptions {
  readonly store: Pick<RolloutStore, 'view' | 'apply' | 'lease' | 'release'>
  readonly observations: Pick<Observations, 'read'>
  readonly versions: Pick<VersionStore, 'read'>
  /** The name under which this node observes. */
  readonly node: string
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  /** Tries a version without serving by it. What it throws counts as `unknown`. */
  preflight(version: ConfigVersion): Promise<PreflightResult>
}

/** Between two looks: while a rollout is led, and while there is none, or another node leads it. */
const LEADING_MS = 1_000
const IDLE_MS = 2_000
/** A clock that goes ahead by so much between two looks was set, or is another one. */
const LEAP_MS = 10_000
/** Looks for which the one node leaves a free lease to others: the candidate may be what its predecessor died of. */
const RELUCTANT_LOOKS = 3

/** A pre-flight that this node has begun. */
interface Attempt {
  readonly rollout: string
  result: PreflightResult | undefined
  /** Whether it has been said why it passes and goes no further. */
  isTold: boolean
}

export class RolloutController {
  readonly #options: ControllerOptions
  #cancel: () => void = () => undefined
  #isStopped = false
  #looking: Promise<void> | undefined
  /** Since when Redis has answered here without a gap, and what processes said there could be heard; on the monotonic clock. */
  #watchedSince: number | undefined
  /** Since when processes have been seen that cannot serve, on the same clock. */
  #illSince = new Map<string, number>()
  /** What Redis's clock and the monotonic one said at the last look, and by how much the former has leapt in a stage. */
  #clocks: { readonly redis: number; readonly own: number } | undefined
  #leap: { readonly stage: string; readonly ms: number } | undefined
  #attempt: Attempt | undefined
  #freeLooks = 0
  #isLeading = false
  #isTrouble = false

  constructor(options: ControllerOptions) {
    this.#options = options
  }

  start(): void {
    if (this.#isStopped) return
    void this.look().finally(() => {
      if (!this.#isStopped)
        this.#cancel = this.#options.clock.after(this.#isLeading ? LEADING_MS : IDLE_MS, () => this.start())
    })
  }

  /** Leads no more, and lets another node do it at once. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#cancel()
    await this.#looking
    await this.#yield().catch(() => undefined)
  }

  /** Looks once, and does what is to be done. Never rejects: while Redis is away nothing changes. */
  async look(): Promise<void> {
    this.#looking ??= this.#look()
      .then(() => {
        this.#isTrouble = false
      })
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#looking = undefined
      })
    await this.#looking
  }

  async #look(): Promise<void> {
    const view = await this.#options.store.view()
    const leapMs = this.#leapMs(view)
    this.#watchedSince ??= this.#options.clock.monotonic()
    const { rollout } = view.state
    if (rollout === undefined) return await this.#yield()
    const lease = await this.#take(view, rollout)
    if (lease === undefined) return
    const { clock, observations } = this.#options
    const observed = await observations.read()
    const now = clock.monotonic()
    const watchedMs = now - this.#watchedSince
    if (isOneOfSeveral(rollout, observed, this.#options.node)) return await this.#yield()
    const illMs = this.#illMs(observed, now)
    const { decision } = judge({ state: view.state, now: view.now, observed, watchedMs, illMs, leapMs })
    await this.#act({ view, lease, observed }, rollout, decision)
  }

  async #act({ view, lease, observed }: Scene, rollout: Rollout, decision: Decision): Promise<void> {
    if (decision.action === 'apply') await this.#apply(view, decision.event, lease)
    if (decision.action !== 'preflight') return
    if (this.#attempt?.rollout !== rollout.id) return await this.#begin(view, rollout, lease)
    const { result } = this.#attempt
    if (result === undefined) return
    if (result.verdict === 'fail') {
      await this.#apply(view, { kind: 'fail-preflight', reason: result.reason }, lease)
    } else if (result.verdict === 'unknown') {
      this.#options.log.warn({ reason: result.reason }, 'the pre-flight of a config could not be made here')
      this.#attempt = undefined
      await this.#yield()
    } else {
      const attempt = this.#attempt
      const passed = await this.#apply(view, { kind: 'pass-preflight', ...served(view, rollout, observed) }, lease)
      if (passed.kind !== 'refused' || attempt.isTold) return
      attempt.isTold = true
      this.#options.log.warn(
        { reason: passed.message },
        'the pre-flight of a config has passed, and it goes no further',
      )
    }
  }

  /** Says first that it begins: should it be the end of this process, the next one knows. */
  async #begin(view: StateView, rollout: Rollout, lease: Lease): Promise<void> {
    const { candidate } = rollout
    // Redis may be slow or away: that is no attempt.
    const version = await this.#read(candidate)
    if (typeof version === 'string') {
      await this.#apply(view, { kind: 'fail-preflight', reason: version }, lease)
      return
    }
    const applied = await this.#apply(view, { kind: 'begin-preflight' }, lease)
    if (applied.kind !== 'done' || applied.state.rollout?.id !== rollout.id) return
    const attempt: Attempt = { rollout: rollout.id, result: undefined, isTold: false }
    this.#attempt = attempt
    void this.#options
      .preflight(version)
      .catch((error: unknown) => ({ verdict: 'unknown', reason: IntermixError.from(error).message }) as const)
      .then((result) => {
        attempt.result = result
      })
  }

  /** @returns why there is no such version, in words */
  async #read(id: string): Promise<ConfigVersion | string> {
    try {
      return (await this.#options.versions.read(id)) ?? `Redis holds no version ${shortId(id)}`
    } catch (error) {
      const { code, message } = IntermixError.from(error)
      if (code === 'INVALID_CONFIG') return message
      throw error
    }
  }

  async #apply(view: StateView, event: WithoutBy, lease: Lease): Promise<Applied> {
    const { store, node, log, meter } = this.#options
    const applied = await store.apply(view, { ...event, by: node }, lease)
    if (applied.kind !== 'done') {
      // Somebody else has changed it meanwhile: the next look sees what.
      log.debug({ event: event.kind, ...applied }, 'a change of a rollout was not made')
      return applied
    }
    meter.counter(ROLLOUT_TRANSITIONS_TOTAL)({ event: event.kind }).add()
    const level = event.kind === 'fail' || event.kind === 'fail-preflight' ? 'error' : 'info'
    log[level]({ rev: applied.state.rev, event: event.kind }, `config rollout: ${applied.entry}`)
    return applied
  }

  /** @returns `undefined` where another node leads, or is to lead. */
  async #take({ controller }: StateView, rollout: Rollout): Promise<Lease | undefined> {
    const { store, node } = this.#options
    if (controller === undefined && rollout.first === node && ++this.#freeLooks <= RELUCTANT_LOOKS)
      return this.#follow()
    if (controller !== undefined && controller !== node) return this.#follow()
    const lease = await store.lease(node)
    if (!lease.isMine) return this.#follow()
    this.#freeLooks = 0
    this.#isLeading = true
    return lease
  }

  /** Also where the look at which it leapt came to nothing. All that was said before seems to be old then: it is no silence. */
  #leapMs({ state, now }: StateView): number {
    const own = this.#options.clock.monotonic()
    const before = this.#clocks
    this.#clocks = { redis: now, own }
    const stage = stageKey(state)
    const ms = before === undefined ? 0 : now - before.redis - (own - before.own)
    if (ms > LEAP_MS) {
      this.#leap = { stage, ms }
      this.#watchedSince = undefined
    }
    return this.#leap?.stage === stage ? this.#leap.ms : 0
  }

  #illMs({ observations }: Observed, now: number): ReadonlyMap<string, number> {
    const ill = observations.filter(({ isHealthy }) => !isHealthy).map(({ node }) => node)
    this.#illSince = new Map(ill.map((node) => [node, this.#illSince.get(node) ?? now]))
    return new Map(Array.from(this.#illSince, ([node, since]) => [node, now - since]))
  }

  #follow(): undefined {
    this.#isLeading = false
    this.#illSince.clear()
    this.#attempt = undefined
  }

  async #yield(): Promise<void> {
    const wasLeading = this.#isLeading
    this.#follow()
    if (wasLeading) await this.#options.store.release(this.#options.node)
  }

  #failed(error: unknown): void {
    this.#watchedSince = undefined
    this.#illSince.clear()
    if (!this.#isTrouble)
      this.#options.log.warn({ err: error }, 'config rollouts stand still: nothing changes meanwhile')
    this.#isTrouble = true
  }
}

interface Scene {
  readonly view: StateView
  readonly lease: Lease
  readonly observed: Observed
}

type WithoutBy = Wish extends infer E ? (E extends unknown ? Omit<E, 'by'> : never) : never

/** Who runs a candidate that may be its end does not lead, where others can. */
function isOneOfSeveral({ first, status }: Rollout, { observations }: Observed, node: string): boolean {
  if (first !== node || status === 'rolling-back') return false
  return observations.some(
    (one) => one.node !== node && one.kind === 'node' && one.ageMs < IDLE_MS * 2 && !one.isLeaving,
  )
}

function served(view: StateView, rollout: Rollout, observed: Observed) {
  const { nodes, present } = situationOf({ ...view, observed, watchedMs: 0, illMs: new Map(), leapMs: 0 }, rollout)
  return {
    first: firstOf(
      rollout,
      nodes.map(({ node }) => node),
    ),
    isServed: present.some(({ version }) => version !== undefined && version !== rollout.candidate),
  }
}
