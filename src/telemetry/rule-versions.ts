// The report rules of the config that is served, and those of configs before it: what was accepted under them is still
// to be evaluated under them, and delivered by the handlers that they name.

import type { DeliverTarget } from './handler-delivery.ts'
import type { FanOutRules } from './fan-out.ts'

/** The report side of one config. */
export interface RuleVersion {
  /** Digest of its report rules (`Snapshot.reportDigest`). */
  readonly digest: string
  readonly rules: FanOutRules
  /** Its handlers that take reports, by full name. */
  readonly targets: ReadonlyMap<string, DeliverTarget>
  /** Keeps all that it needs running until the function that it returns is called. */
  readonly hold?: (() => () => void) | undefined
}

interface Kept extends RuleVersion {
  readonly release: () => void
}

/** Versions that are kept beside the current one. */
const MAX_FORMER = 8

export class RuleVersions {
  /** By digest, the current one last. */
  readonly #kept = new Map<string, Kept>()
  #current: Kept | undefined

  get current(): RuleVersion | undefined {
    return this.#current
  }

  /** Digests of the versions before the current one, oldest first. */
  get former(): readonly string[] {
    return [...this.#kept.keys()].filter((digest) => digest !== this.#current?.digest)
  }

  of(digest: string): RuleVersion | undefined {
    return this.#kept.get(digest)
  }

  /** The handlers of all versions; the newest version decides what is meant by a name. */
  get targets(): ReadonlyMap<string, DeliverTarget> {
    return new Map([...this.#kept.values()].flatMap(({ targets }) => [...targets]))
  }

  /** Whether a version knows a handler that no newer one does. */
  onlyIn(digest: string, handler: string): boolean {
    const having = [...this.#kept.values()].filter(({ targets }) => targets.has(handler))
    return having.at(-1)?.digest === digest && digest !== this.#current?.digest
  }

  /** Makes a version the current one. @returns the former ones that had to go for it. */
  follow(version: RuleVersion): readonly string[] {
    const before = this.#kept.get(version.digest)
    this.#kept.delete(version.digest)
    this.#current = { ...version, release: version.hold?.() ?? (() => undefined) }
    this.#kept.set(version.digest, this.#current)
    // Jobs in work end with the handlers that they have: those linger for a while.
    before?.release()
    const excess = this.former.slice(0, -MAX_FORMER)
    for (const digest of excess) this.drop(digest)
    return excess
  }

  /** Forgets a former version. */
  drop(digest: string): void {
    if (digest === this.#current?.digest) return
    this.#kept.get(digest)?.release()
    this.#kept.delete(digest)
  }
}
