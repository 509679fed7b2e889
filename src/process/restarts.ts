// When a process that has ended is started again, and when there is no use in it any more.

const FIRST_MS = 500
const LONGEST_MS = 30_000
/** What has lived for so long did not end by what it met at its start. */
const STEADY_MS = 60_000
/** Ends in a row that make a loop of crashes; with the pauses between them they take some ten seconds at least. */
const HOPELESS = 5

/** The ends of one process, one after the other. */
export class Restarts {
  #row = 0

  /** Takes note of an end. @returns how long to wait before the next start, in ms: twice as long each time. */
  ended(livedMs: number): number {
    this.#row = livedMs >= STEADY_MS ? 1 : this.#row + 1
    return Math.min(FIRST_MS * 2 ** (this.#row - 1), LONGEST_MS)
  }

  /** Ends in a row, none of them after a life of any length. */
  get row(): number {
    return this.#row
  }

  get hopeless(): boolean {
    return this.#row >= HOPELESS
  }
}
