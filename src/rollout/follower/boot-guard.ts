// Keeps a process from starting again and again with a version that it does not outlive. Before a version is taken into use that
// has not proved itself here, that is written down; once the process has served well by it for a while, it has. A start that finds
// it still unproved counts; after two of them, or an error that ended the process, another version runs and this one is bad.

import { messageOf } from '../../kernel/errors.ts'
import type { Clock } from '../../kernel/ports.ts'
import {
  type Attempt,
  type Bad,
  heldUntil,
  isSame,
  MAX_CONFIRMED,
  NO_RECORDS,
  type Records,
  withBad,
} from './records.ts'

/** Where records outlive the process; unset: they do not. */
export interface RecordsStore {
  readonly records: Records
  write(records: Records): void
}

/** Starts that do not reach a proof; of a version that was bad before, one is enough. */
const MAX_ATTEMPTS = 2
const MAX_RETRIES = 1

export class BootGuard {
  readonly #store: RecordsStore
  readonly #clock: Pick<Clock, 'now'>

  constructor(store: RecordsStore | undefined, clock: Pick<Clock, 'now'>) {
    this.#store = store ?? inMemory()
    this.#clock = clock
  }

  get records(): Records {
    return this.#store.records
  }

  /** Whether this process holds a version for bad in this attempt to roll it out, now. */
  isBad(attempt: Attempt): boolean {
    const bad = this.#badOf(attempt)
    const until = bad && heldUntil(bad)
    if (bad === undefined || until === undefined) return bad !== undefined
    const now = this.#clock.now()
    // A clock that was set back would hold it for longer than anybody wants.
    return now < until && now >= bad.at
  }

  /** Whether a version is tried again that was bad before. */
  isAgain(attempt: Attempt): boolean {
    return this.#badOf(attempt) !== undefined && !this.isBad(attempt)
  }

  /** Holds a version for bad from now on. */
  reject(attempt: Attempt, reason: string): void {
    const { records } = this
    if (this.isBad(attempt)) return
    const boot = records.boot?.version === attempt.version ? undefined : records.boot
    this.#store.write(withBad({ ...records, boot }, attempt, reason, this.#clock.now()))
  }

  /** The others know of it. */
  told(attempt: Attempt): void {
    const bad = this.records.bad.map((each) => (isSame(each, attempt) ? { ...each, isTold: true } : each))
    this.#store.write({ ...this.records, bad })
  }

  /**
   * Writes down that a version is being taken into use. To be called before anything of it is loaded.
   * @returns false where it may not be: then it is bad.
   */
  begin(attempt: Attempt): boolean {
    if (this.isBad(attempt)) return false
    const { records } = this
    // Who served well by it once is not kept from it by a port that is taken, or a disk that is full.
    if (records.confirmed.includes(attempt.version)) {
      if (records.boot !== undefined) this.#store.write({ ...records, boot: undefined })
      return true
    }
    const before = records.boot !== undefined && isSame(records.boot, attempt) ? records.boot.attempt : 0
    if (before >= (this.isAgain(attempt) ? MAX_RETRIES : MAX_ATTEMPTS)) {
      const often = before === 1 ? 'once more' : `${before} times`
      this.reject(attempt, `the process started ${often} with it and did not get to serve well`)
      return false
    }
    this.#store.write({ ...records, boot: { version: attempt.version, rollout: attempt.rollout, attempt: before + 1 } })
    return true
  }

  /** Whether nothing would change by `confirm`. */
  isConfirmed(version: string): boolean {
    const { confirmed, boot } = this.records
    const bad = this.#badOf({ version, rollout: '' })
    return confirmed[0] === version && boot?.version !== version && bad === undefined
  }

  /** The process has served well by a version for a while. */
  confirm(version: string): void {
    const { records } = this
    if (this.isConfirmed(version)) return
    const confirmed = [version, ...records.confirmed.filter((id) => id !== version)].slice(0, MAX_CONFIRMED)
    const boot = records.boot?.version === version ? undefined : records.boot
    const bad = records.bad.filter((each) => !isSame(each, { version, rollout: '' }))
    this.#store.write({ ...records, confirmed, boot, bad })
  }

  /** What is the stable version of the mesh. */
  stableIs(version: string | undefined): void {
    if (version !== undefined && version !== this.records.stable)
      this.#store.write({ ...this.records, stable: version })
  }

  /** Versions to start with in place of `bad`, or where nobody can be asked, the best one first. */
  lastGood(bad?: string): readonly string[] {
    const { confirmed, stable } = this.records
    return [...new Set([...confirmed, ...(stable === undefined ? [] : [stable])])].filter((id) => id !== bad)
  }

  /**
   * This process ends by an error that nobody handled: whatever it is starting with is bad, and so is the candidate that it
   * answers by, if it does.
   */
  crashed(error: unknown, candidate: Attempt | undefined): void {
    const attempt = candidate ?? this.records.boot
    if (attempt === undefined) return
    const why = messageOf(error)
    this.reject({ version: attempt.version, rollout: attempt.rollout }, `the process ended by an error: ${why}`)
  }

  /** This process ends in good order: that it did not get to prove a version says nothing. */
  ended(): void {
    if (this.records.boot !== undefined) this.#store.write({ ...this.records, boot: undefined })
  }

  #badOf(attempt: Attempt): Bad | undefined {
    return this.records.bad.find((bad) => isSame(bad, attempt))
  }
}

function inMemory(): RecordsStore {
  let records = NO_RECORDS
  return {
    get records() {
      return records
    },
    write(changed) {
      records = changed
    },
  }
}
