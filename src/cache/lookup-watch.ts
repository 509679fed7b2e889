// What a cache tells of its look-ups to whoever wants to know what it would find at another size.

/** Fingerprints are hashes of keys: 32 bits with a sign. Times in ms on the monotonic clock. */
export interface LookupWatch {
  /** Counts a look-up that has found an entry. @returns whether it is one to tell of by `sampled` */
  found(fingerprint: number): boolean
  /** @param until when an entry would end that were stored now in place of what was found */
  sampled(fingerprint: number, bytes: number, until: number): void
  /**
   * An entry was stored.
   * @param isAsked whether a look-up has not found it; else it was renewed ahead of need
   * @param formerUntil when the entry ends whose place it takes, where there is one: what was asked for before that was revoked,
   * used up or too old, whatever the size
   */
  stored(fingerprint: number, bytes: number, until: number, isAsked: boolean, formerUntil: number | undefined): void
  /** All entries are gone. */
  cleared(): void
}
