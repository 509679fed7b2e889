// A list of who is there that does not collapse: where many go at once, it is likelier that they could not be heard.

/** Of those that are there so many may go within the time, in parts of one. */
const MOST_GOING = 0.3
const WITHIN_MS = 10_000

/** Keeps those that are missing as long as too many are. One always may go. */
export class SteadyView {
  #members: ReadonlySet<string> = new Set()
  /** When the time began that is counted, on the monotonic clock, and how many may go in it. */
  #since = Number.NEGATIVE_INFINITY
  #mayGo = 0

  /** Takes what was seen. @returns who is to be taken for there */
  take(seen: readonly string[], now: number): readonly string[] {
    if (now - this.#since >= WITHIN_MS) {
      this.#since = now
      this.#mayGo = Math.max(1, Math.floor(this.#members.size * MOST_GOING))
    }
    const members = new Set(seen)
    for (const member of this.#members) {
      if (members.has(member)) continue
      if (this.#mayGo > 0) this.#mayGo--
      else members.add(member)
    }
    this.#members = members
    return Array.from(members).sort()
  }
}
