// Which of the addresses that are found in Redis nodes of the mesh have signed: callers send their checks to those, and believe
// what comes back.

import type { MeshSignatures } from '../kernel/mesh-signatures.ts'

/** A signature holds so long; it is made anew well before. Who has gone can be taken for there as long, by who writes to Redis. */
const HOLDS_MS = 180_000
export const RENEW_MS = 60_000

export class SignedMembers {
  readonly #signatures: MeshSignatures
  /** Until when a signature holds, by the clock of the Redis server. */
  #until: ReadonlyMap<string, number> = new Map()

  constructor(signatures: MeshSignatures) {
    this.#signatures = signatures
  }

  /** What a node leaves beside its address. @param now by the clock of the Redis server */
  sign(address: string, now: number): string {
    const until = String(Math.floor(now) + HOLDS_MS)
    return `${until} ${this.#signatures.sign('member', signedText(address, until))}`
  }

  /** Takes what was found: counts what does not hold, and forgets it. */
  take(addresses: readonly string[], signed: readonly string[], now: number): void {
    const until = new Map<string, number>()
    for (const [at, address] of addresses.entries()) {
      const [, digits = '', signature = ''] = /^(\d{1,15}) (\S+)$/.exec(signed[at] ?? '') ?? []
      const found = this.#signatures.fault('member', signedText(address, digits), signature)
      const end = signature === '' ? Number.POSITIVE_INFINITY : Number(digits)
      // One that holds for longer was signed by the clock of another server.
      const fault = found ?? (end <= now ? 'expired' : undefined)
      if (fault === undefined) until.set(address, Math.min(end, now + HOLDS_MS))
      else this.#signatures.refused('member', fault)
    }
    this.#until = until
  }

  /** Those that hold now. */
  valid(addresses: readonly string[], now: number): readonly string[] {
    return addresses.filter((address) => (this.#until.get(address) ?? 0) > now)
  }
}

function signedText(address: string, until: string): string {
  return JSON.stringify(['member', 1, address, until])
}
