// Follows config rollouts: has the process run the version that is assigned to it. While Redis is away everybody keeps what
// runs, and a process that starts runs what it last served well by.

import { pause } from '../../kernel/deadline.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { ROLLOUT_FOLLOWED, ROLLOUT_RUNS_CANDIDATE, ROLLOUT_VERSIONS_TOTAL } from '../../kernel/metrics/rollout.ts'
import type { Clock, Counter, Gauge, Logger, Meter } from '../../kernel/ports.ts'
import { type Assignment, assignedVersion } from '../cohort.ts'
import type { RolloutStore } from '../rollout-store.ts'
import type { RolloutState } from '../state.ts'
import { shortId } from '../version.ts'
import type { BootGuard } from './boot-guard.ts'
import type { FollowedVersions } from './followed-versions.ts'
import { type Attempt, isSame } from './records.ts'
import type { VersionSource } from './version-source.ts'

/** What came of taking a version into use. */
export type Taken = { readonly ok: true } | { readonly ok: false; readonly reason: string }

/** The process, as its follower needs it. */
export interface FollowingProcess {
  /**
   * Loads what the source has now and takes it into use; resolves when that is done. Never rejects.
   * @param isTrial whether what ran before is kept, for what the new version cannot decide
   */
  take(isTrial: boolean): Promise<Taken>
  /** What runs is no longer on trial. */
  trust(): void
  /** Evaluates a candidate beside what answers, or ends that. `key` changes when it is to begin anew. */
  shadow(candidate: { readonly attempt: Attempt; readonly key: string } | undefined): Promise<Taken>
}

export interface FollowerOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  /** Of this process; different from that of every other. */
  readonly node: string
  readonly store: Pick<RolloutStore, 'state'>
  readonly versions: FollowedVersions
  readonly guard: BootGuard
  readonly source: VersionSource
  /** Names a stage, as `stageKey` does. */
  stageKey(state: RolloutState): string
}

/** How often Redis is asked, in ms: while nothing is under way, and while something is. */
const IDLE_MS = 2_000
const BUSY_MS = 1_000
/** How long a start waits for Redis where it could do without, in ms, and how often it asks meanwhile. */
const PATIENCE_MS = 3_000
const EAGER_MS = 200

export class Follower {
  readonly #options: FollowerOptions
  readonly #metrics: {
    readonly followed: Gauge
    readonly candidate: Gauge
    readonly taken: Counter
    readonly bad: Counter
  }
  #state: RolloutState | undefined
  /** What is loaded, or about to be. */
  #wanted: Attempt | undefined
  /** What requests are answered by. */
  #running: Attempt | undefined
  #assignment: Assignment | undefined
  #namespaces: ReadonlySet<string> | undefined
  #tried: ReadonlySet<string> | undefined
  #process: FollowingProcess | undefined
  #isAway = false
  #isStopped = false
  #cancel: () => void = () => undefined
  #looking: Promise<void> | undefined

  constructor(options: FollowerOptions) {
    const { meter } = options
    const versions = meter.counter(ROLLOUT_VERSIONS_TOTAL)
    this.#options = options
    this.#metrics = {
      followed: meter.gauge(ROLLOUT_FOLLOWED)(),
      candidate: meter.gauge(ROLLOUT_RUNS_CANDIDATE)(),
      taken: versions({ outcome: 'taken' }),
      bad: versions({ outcome: 'bad' }),
    }
    this.#metrics.followed.set(0)
  }

  /** The state as it was last read; `undefined` before that. */
  get state(): RolloutState | undefined {
    return this.#state
  }

  /** The version that requests are answered by; `undefined` before the first one. */
  get running(): string | undefined {
    return this.#running?.version
  }

  /** The candidate of a rollout that is under way, where this process answers by it. */
  get candidate(): Attempt | undefined {
    return this.#running?.rollout === '' ? undefined : this.#running
  }

  /** What this process has to do, as the state says. */
  get assignment(): Assignment | undefined {
    return this.#assignment
  }

  /** Namespaces that a candidate answers before all others, while that stage lasts. */
  get namespaces(): ReadonlySet<string> | undefined {
    return this.#namespaces
  }

  /**
   * Namespaces that the candidate which runs here answers; `undefined`: all. It gets others by its own next stage alone, and none
   * where its rollout has ended and it has not been left yet.
   */
  get tried(): ReadonlySet<string> | undefined {
    return this.#tried
  }

  /** Whether Redis could not be asked the last time. */
  get isAway(): boolean {
    return this.#isAway
  }

  /** Waits for a version to start with: the source has it then. Rejects when it is stopped meanwhile. */
  async first(): Promise<void> {
    const { clock, log, guard, node } = this.#options
    const began = clock.monotonic()
    let isTold = false
    while (!this.#isStopped) {
      await this.#read()
      if (this.#state !== undefined && (await this.#follow(this.#state))) return
      const waited = clock.monotonic() - began
      // A Redis that knows of no stable version has lost it, where one is kept here.
      const isUntold = this.#isAway || this.#state?.stable === undefined
      if (isUntold && waited >= PATIENCE_MS && (await this.#wantLastGood())) return
      if (!isTold && waited >= PATIENCE_MS) {
        const why = this.#isAway
          ? 'Redis cannot be asked, and nothing is kept here'
          : 'nothing is published that can be used'
        log.warn({ node, kept: guard.lastGood().length }, `waiting for a version of the config: ${why}`)
        isTold = true
      }
      await pause(clock, waited < PATIENCE_MS ? EAGER_MS : BUSY_MS)
    }
    throw new IntermixError('CANCELLED', 'stopped before there was a version of the config to start with')
  }

  /**
   * The first version could not be used: it is bad, and the source has another one.
   * @returns false where there is no other one
   */
  async instead(reason: string): Promise<boolean> {
    const failed = this.#wanted
    if (failed === undefined) return false
    this.#reject(failed, reason)
    this.#wanted = undefined
    const stable = this.#state?.stable
    if (stable !== undefined && stable !== failed.version && (await this.#want({ version: stable, rollout: '' })))
      return true
    return await this.#wantLastGood(failed.version)
  }

  /** Follows from now on; the process runs what the source had. */
  start(process: FollowingProcess): void {
    this.#process = process
    if (this.#wanted !== undefined) this.#runs(this.#wanted)
    this.#later()
  }

  /** Looks now; resolves when what follows is done. Never rejects. */
  async look(): Promise<void> {
    this.#looking ??= this.#lookOnce().finally(() => {
      this.#looking = undefined
    })
    await this.#looking
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#cancel()
    await this.#looking
  }

  #later(): void {
    if (this.#isStopped) return
    const ms = this.#state?.rollout === undefined ? IDLE_MS : BUSY_MS
    this.#cancel = this.#options.clock.after(ms, () => void this.look().then(() => this.#later()))
  }

  async #lookOnce(): Promise<void> {
    try {
      await this.#read()
      if (this.#state !== undefined && !this.#isStopped) {
        await this.#follow(this.#state)
        if (this.#running !== undefined && !this.#isTrial(this.#running)) this.#process?.trust()
        await this.#followShadow(this.#state)
      }
    } catch (error) {
      this.#options.log.error({ err: error }, 'following config rollouts failed; it is tried again')
    }
  }

  async #read(): Promise<void> {
    const { store, guard, log } = this.#options
    try {
      const state = await store.state()
      if (this.#isAway) log.info({}, 'config rollouts can be followed again')
      this.#isAway = false
      this.#metrics.followed.set(1)
      this.#state = state
      this.#namespaces = state.rollout?.stage === 'namespaces' ? new Set(state.rollout.namespaces) : undefined
      if (state.rollout?.id === this.#running?.rollout) this.#tried = this.#namespaces
      guard.stableIs(state.stable)
    } catch (error) {
      if (!this.#isAway) log.warn({ err: error }, 'config rollouts cannot be followed now: what runs is kept')
      this.#isAway = true
      this.#metrics.followed.set(0)
    }
  }

  /** @returns whether there is a version to run */
  async #follow(state: RolloutState): Promise<boolean> {
    const { node, guard } = this.#options
    const assignment = assignedVersion(state, node)
    this.#assignment = assignment
    if (assignment === undefined) return this.#wanted !== undefined
    const rollout = assignment.role === 'candidate' ? (state.rollout?.id ?? '') : ''
    const assigned = { version: assignment.version, rollout }
    const lacksBehind = this.#isTrial(assigned) && ![assigned.version, state.stable].includes(this.#wanted?.version)
    const isBehind = !lacksBehind || (await this.#wantBehind(state))
    if (lacksBehind && isBehind && this.#process === undefined) return true
    // Without the stable version behind it, it would answer other namespaces, too.
    const mayRun = isBehind || this.#namespaces === undefined
    if (mayRun && !guard.isBad(assigned) && (await this.#want(assigned))) return true
    // It is bad here, or not to be had: what runs is kept, if that is no candidate itself.
    const { stable } = state
    const keeps = this.#wanted !== undefined && this.#wanted.rollout === '' && !guard.isBad(this.#wanted)
    if (keeps || stable === undefined) return keeps
    if (stable !== assigned.version && (await this.#want({ version: stable, rollout: '' }))) return true
    if (this.#wanted !== undefined || (await this.#wantLastGood(assigned.version))) return true
    // Nothing else is there, and what harmed its starts may have been something else.
    return await this.#want({ version: stable, rollout: '' }, 'last')
  }

  /** Runs what is to be behind a candidate, which is taken up after that, and when the process serves. */
  async #wantBehind({ stable }: RolloutState): Promise<boolean> {
    const behind = stable === undefined ? undefined : { version: stable, rollout: '' }
    return behind !== undefined && !this.#options.guard.isBad(behind) && (await this.#want(behind, 'behind'))
  }

  /**
   * @param why `last`: it may be bad. `behind`: starts with the candidate are counted, not those with this one
   * @returns whether it is what runs, or is to be run
   */
  async #want(attempt: Attempt, why: 'assigned' | 'last' | 'behind' = 'assigned'): Promise<boolean> {
    const { versions, guard, source } = this.#options
    const before = this.#wanted
    if (before?.version === attempt.version) {
      // A candidate that has become stable goes on as that.
      if (!isSame(before, attempt)) this.#wanted = attempt
      if (this.#running?.version === attempt.version) this.#is(attempt)
      return true
    }
    const files = await versions.files(attempt.version)
    if (files === undefined || this.#isStopped) return false
    // What is gone back to must be here when Redis is not.
    if (attempt.rollout !== '' && this.#state?.stable !== undefined) await versions.files(this.#state.stable)
    if (guard.isAgain(attempt))
      this.#options.log.warn(about(attempt), 'the stable version of the config, which was bad here, is tried again')
    if (why !== 'behind' && !guard.begin(attempt) && why !== 'last') {
      this.#options.log.error(about(attempt), 'this version of the config is bad here: another one runs')
      return false
    }
    source.set(attempt.version, files)
    this.#wanted = attempt
    if (this.#process === undefined) return true
    if (this.#isTrial(attempt)) this.#tried = this.#namespaces
    const taken = await this.#process.take(this.#isTrial(attempt) && before?.version === this.#state?.stable)
    if (taken.ok) {
      this.#runs(attempt)
      return true
    }
    this.#reject(attempt, taken.reason)
    await this.#goBack(before)
    return false
  }

  /** Others answer by the stable version still: what this one cannot decide, that one does. */
  #isTrial({ rollout }: Attempt): boolean {
    return rollout !== '' && this.#state?.rollout?.stage !== '100%'
  }

  /** Requests are answered by it from now on. */
  #runs(attempt: Attempt): void {
    this.#metrics.taken.add()
    this.#options.log.info(about(attempt), 'runs this version of the config')
    this.#is(attempt)
  }

  #is(attempt: Attempt): void {
    this.#running = attempt
    this.#tried = attempt.rollout === '' ? undefined : this.#namespaces
    this.#metrics.candidate.set(attempt.rollout === '' ? 0 : 1)
  }

  /** What was loaded before is so again; it runs still. */
  async #goBack(before: Attempt | undefined): Promise<void> {
    this.#wanted = before
    const files = before && (await this.#options.versions.files(before.version))
    if (before === undefined || files === undefined) return
    this.#options.source.set(before.version, files)
    await this.#process?.take(false)
  }

  async #wantLastGood(bad?: string): Promise<boolean> {
    for (const version of this.#options.guard.lastGood(bad)) {
      if (await this.#want({ version, rollout: '' })) {
        this.#options.log.warn(
          about({ version, rollout: '' }),
          'starting with a version that was served well by before',
        )
        return true
      }
    }
    return false
  }

  async #followShadow(state: RolloutState): Promise<void> {
    const { role, candidate } = this.#assignment ?? {}
    const attempt = candidate === undefined ? undefined : { version: candidate, rollout: state.rollout?.id ?? '' }
    const isShadow = role === 'shadow' && attempt !== undefined && !this.#options.guard.isBad(attempt)
    const wanted = isShadow ? { attempt, key: this.#options.stageKey(state) } : undefined
    const taken = await this.#process?.shadow(wanted)
    if (taken?.ok === false && attempt !== undefined) this.#reject(attempt, taken.reason)
  }

  #reject(attempt: Attempt, reason: string): void {
    this.#options.guard.reject(attempt, reason)
    this.#metrics.bad.add()
    this.#options.log.error({ ...about(attempt), reason }, 'this version of the config cannot be used here')
  }
}

function about({ version, rollout }: Attempt): object {
  return { version: shortId(version), ...(rollout === '' ? {} : { rollout }) }
}
