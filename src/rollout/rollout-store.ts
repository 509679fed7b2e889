// The state of config rollout in Redis. It changes in one way only: by a script that compares its `rev` with the one that was
// judged, and, for a controller, the epoch of its lease. Time is that of Redis.

import { randomUUID } from 'node:crypto'
import { IntermixError } from '../kernel/errors.ts'
import type { RedisLink } from '../redis/connection.ts'
import { type Change, isRefusal, type OperatorEvent, type Publish, type Refusal, type RolloutEvent } from './events.ts'
import { type RolloutKeys, rolloutKeys } from './keys.ts'
import { type LogEntry, type NamedEntry, readEntry } from './log-entry.ts'
import { changed } from './outcomes.ts'
import { repairedState, repairEntry } from './repair.ts'
import { ANNOUNCE, LEASE, READ, WRITE } from './scripts.ts'
import { NO_ROLLOUT, pinnedBy, type RolloutState } from './state.ts'
import { readState, stateToText } from './state-json.ts'
import { transition } from './transition.ts'
import { shortId } from './version.ts'
import type { VersionStoreOptions } from './version-store.ts'

/** A state as it was at a moment, by the clock of Redis. */
export interface StateView {
  readonly state: RolloutState
  readonly now: number
  /** Names the change that led here. */
  readonly token: string
  /** Why the version that was asked about is in quarantine. */
  readonly quarantined: string | undefined
  /** Who holds the lease of the controller. */
  readonly controller: string | undefined
}

/** The right to act as the controller: whoever holds it later has a higher epoch. */
export interface Lease {
  readonly epoch: number
  /** Whether the one who asked holds it. */
  readonly isMine: boolean
  readonly owner: string
}

/** What became of an event. `lost`: somebody else was faster, holds the lease, or the stage is younger than it seemed. */
export type Applied =
  | { readonly kind: 'done'; readonly state: RolloutState; readonly entry: string }
  | ({ readonly kind: 'refused' } & Refusal)
  | { readonly kind: 'lost'; readonly why: 'stale' | 'lease' | 'early' }

/** An event before it is known when it happens, and what Redis knows of the version. */
export type Wish =
  | Omit<Publish, 'at' | 'quarantined'>
  | WithoutTime<OperatorEvent>
  | WithoutTime<Exclude<RolloutEvent, Publish | OperatorEvent>>

type WithoutTime<E> = E extends unknown ? Omit<E, 'at'> : never

const LEASE_MS = 10_000
const MAX_LOG = 1_000
const MAX_QUARANTINED = 10_000
/** An operator who is overtaken looks again, so often. */
const ATTEMPTS = 5
/** Entries among which a change is looked for whose answer was lost. */
const LATELY = 20
const MAX_REASON = 1_000
const TIMEOUT_MS = 1_000
/** Entries that are announced before it is looked again who may. */
const MAX_ANNOUNCED = 20

/** All methods reject with REDIS_UNAVAILABLE while Redis is away: nothing changes then, and everybody keeps what runs. */
export class RolloutStore {
  readonly #link: RedisLink
  readonly #keys: RolloutKeys

  constructor({ link, prefix }: VersionStoreOptions) {
    this.#link = link
    this.#keys = rolloutKeys(prefix)
  }

  async state(): Promise<RolloutState> {
    return (await this.view()).state
  }

  /** @param version one of which is to be known whether it is in quarantine */
  async view(version = ''): Promise<StateView> {
    const { now, rev, since, body, token, why: quarantined, lease: held } = await this.#read(version)
    const controller = held?.replace(/^\d+ /, '')
    try {
      return { state: readState(body, rev, since), now, token, quarantined, controller }
    } catch (error) {
      throw new IntermixError('NOT_READY', this.#damaged(IntermixError.from(error).message))
    }
  }

  /** Versions that are not tried again by themselves. */
  async quarantined(): Promise<ReadonlySet<string>> {
    return new Set(await this.#link.run((client) => client.zrange(this.#keys.quarantine, 0, '-1'), TIMEOUT_MS))
  }

  /**
   * Makes a version the stable one where the state is damaged, and only there: everybody runs it from then on. Versions,
   * quarantine and log stay as they are.
   */
  async repair(version: string, by: string): Promise<Applied> {
    const { rev, since, body, now, why: quarantined } = await this.#read(version)
    const problem = problemOf(() => readState(body, rev, since))
    if (problem === undefined)
      return { kind: 'refused', refused: 'not-now', message: 'the state can be read: there is nothing to repair' }
    if (quarantined !== undefined)
      return {
        kind: 'refused',
        refused: 'quarantined',
        message: `${shortId(version)} is in quarantine: ${quarantined}`,
      }
    const bad = await this.quarantined()
    const pins = await this.#link.run((client) => client.hget(this.#keys.state, 'pins'), TIMEOUT_MS)
    const reason = `the state was damaged (${problem})`
    const there = { rev, body, pins: pins?.split(' ') ?? [], quarantined: bad }
    const state = repairedState(there, version, { reason: `${reason}; repaired by ${by}`, at: now })
    const change = { ...changed({ ...state, rev }, repairEntry(version, reason)), state }
    const event = { kind: 'repair', version, by }
    const written = await this.#write({ ...NO_ROLLOUT, rev }, change, event, { lease: undefined, token: randomUUID() })
    if (written.kind !== 'done') return { kind: 'lost', why: written.kind }
    return { kind: 'done', state, entry: change.entry }
  }

  /**
   * Writes what follows from an event for the state that was looked at, if it is still the latest one.
   * @param lease what makes it the word of a controller; without it, that of an operator
   */
  async apply(view: StateView, wish: Wish, lease?: Lease, token: string = randomUUID()): Promise<Applied> {
    const event = { ...wish, at: view.now, quarantined: view.quarantined } as RolloutEvent
    const change = transition(view.state, bounded(event))
    if (isRefusal(change)) return { kind: 'refused', ...change }
    const written = await this.#write(view.state, change, event, { lease, token })
    if (written.kind !== 'done') return { kind: 'lost', why: written.kind }
    const { rollout } = change.state
    const begins = rollout !== undefined && isBegun(view.state, change)
    const state = { ...change.state, rollout: begins ? { ...rollout, since: written.now } : rollout }
    return { kind: 'done', state, entry: change.entry }
  }

  /**
   * Does what an operator wants to the latest state: somebody else's change is looked at before it is tried again, and what
   * came about although no answer came is not done twice.
   * @throws IntermixError REDIS_UNAVAILABLE where it may or may not have come about.
   */
  async operate(wish: Wish): Promise<Applied> {
    const token = randomUUID()
    for (let attempt = 1; ; attempt++) {
      try {
        const view = await this.view(wish.kind === 'publish' ? wish.version : '')
        const mine = attempt === 1 ? undefined : (await this.log(LATELY)).find((entry) => entry.token === token)
        if (mine !== undefined) return { kind: 'done', state: view.state, entry: mine.entry }
        const applied = await this.apply(view, wish, undefined, token)
        if (applied.kind !== 'lost' || attempt === ATTEMPTS) return applied
      } catch (error) {
        if (attempt === ATTEMPTS || IntermixError.from(error).code !== 'REDIS_UNAVAILABLE') throw error
      }
    }
  }

  /** Takes the lease of the controller, or keeps it. */
  async lease(owner: string, ms: number = LEASE_MS): Promise<Lease> {
    const held = await this.#link.run(
      (client) => LEASE.run(client, [this.#keys.lease, this.#keys.state], [owner, ms]),
      TIMEOUT_MS,
    )
    return { ...held, isMine: held.owner === owner && ms > 0 }
  }

  /** Gives the lease back, so that nobody waits for its end. */
  async release(owner: string): Promise<void> {
    await this.lease(owner, 0)
  }

  /** The audit log, the latest entry first. */
  async log(count: number): Promise<readonly LogEntry[]> {
    const entries = await this.#link.run(
      (client) => client.xrevrange(this.#keys.log, '+', '-', 'COUNT', count),
      TIMEOUT_MS,
    )
    return entries.map(([, fields]) => readEntry(fields))
  }

  /**
   * Entries of the log that nobody has announced, oldest first, for the one who may; empty for others. Who asks has the right to
   * announce them for so long.
   * @param done the last one that it has announced
   */
  async unannounced(owner: string, done: string | undefined, ms: number): Promise<readonly NamedEntry[]> {
    const { announced, log } = this.#keys
    const { owner: held, entries } = await this.#link.run(
      (client) => ANNOUNCE.run(client, [announced, log], [owner, done ?? '', ms, MAX_ANNOUNCED]),
      TIMEOUT_MS,
    )
    return held === owner ? entries.map(({ id, fields }) => ({ ...readEntry(fields), id })) : []
  }

  #damaged(why: string): string {
    const { state } = this.#keys
    return (
      `the state of config rollout in Redis (field body of ${state}) is damaged, or a newer release has written it: ${why}. ` +
      'Processes keep what runs. If no newer release is in use, name the version that is to be stable: intermix rollout repair VERSION'
    )
  }

  async #read(version: string) {
    const { state, quarantine, why, lease } = this.#keys
    return await this.#link.run((client) => READ.run(client, [state, quarantine, why, lease], [version]), TIMEOUT_MS)
  }

  async #write(
    old: RolloutState,
    change: Change<RolloutState>,
    event: Pick<RolloutEvent, 'by'> & { readonly kind: string; readonly at?: number },
    { lease, token }: { lease: Lease | undefined; token: string },
  ) {
    const { state, lease: held, quarantine, why, votes, log } = this.#keys
    const { by, at: _, ...what } = event
    const args = [
      old.rev,
      lease === undefined ? '' : lease.epoch,
      token,
      stateToText(change.state),
      pinnedBy(change.state).join(' '),
      isBegun(old, change) ? '1' : '',
      change.leastMs,
      change.release ?? '',
      by,
      JSON.stringify(what),
      change.entry,
      MAX_LOG,
      MAX_QUARANTINED,
      ...[...change.quarantine].flat(),
    ]
    return await this.#link.run(
      (client) => WRITE.run(client, [state, held, quarantine, why, votes, log], args),
      TIMEOUT_MS,
    )
  }
}

function problemOf(read: () => unknown): string | undefined {
  try {
    read()
    return undefined
  } catch (error) {
    return IntermixError.from(error).message
  }
}

/** Whether a stage begins with a change: its time is the one at which it is written. */
function isBegun({ rollout: old }: RolloutState, { state: { rollout } }: Change<RolloutState>): boolean {
  return rollout !== undefined && (old === undefined || old.id !== rollout.id || old.since !== rollout.since)
}

/**
 * Reasons come from processes and people: one of any length is not to be read by all every second, and none has half a
 * character, which Redis would not keep.
 */
function bounded(event: RolloutEvent): RolloutEvent {
  if (!('reason' in event)) return event
  const reason = event.reason.toWellFormed()
  if (reason.length <= MAX_REASON) return { ...event, reason }
  return { ...event, reason: `${reason.slice(0, MAX_REASON).toWellFormed()} …` }
}
