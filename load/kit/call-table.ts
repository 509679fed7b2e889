// The calls of a run by number: when each was meant to be sent, and whether it has ended.

import type { Connection } from './connection.ts'

/** More than may be between a call and the oldest that has not ended. */
const PLACES = 1 << 18
const MASK = PLACES - 1

/** Numbers ascend; a place is used again once its call and all before it have ended. */
export class CallTable {
  readonly #at = new Float64Array(PLACES)
  readonly #keys = new Uint32Array(PLACES)
  readonly #waiting = new Uint8Array(PLACES)
  readonly #connections: (Connection | undefined)[] = new Array<Connection | undefined>(PLACES).fill(undefined)
  #first = 0
  #next = 0
  #open = 0

  /** Calls that have not ended. */
  get open(): number {
    return this.#open
  }

  /** The number of a new call that is meant to be sent at `at`; undefined where there is no place for it. */
  add(at: number, key: number): number | undefined {
    if (this.#next - this.#first >= PLACES) return undefined
    const call = this.#next++
    this.#at[call & MASK] = at
    this.#keys[call & MASK] = key
    this.#waiting[call & MASK] = 1
    this.#open++
    return call
  }

  at(call: number): number {
    return this.#at[call & MASK] as number
  }

  key(call: number): number {
    return this.#keys[call & MASK] as number
  }

  waits(call: number): boolean {
    return call >= this.#first && this.#waiting[call & MASK] === 1
  }

  connection(call: number): Connection | undefined {
    return this.#connections[call & MASK]
  }

  sentBy(call: number, connection: Connection): void {
    this.#connections[call & MASK] = connection
  }

  end(call: number): void {
    this.#waiting[call & MASK] = 0
    this.#connections[call & MASK] = undefined
    this.#open--
  }

  /** The oldest call that has not ended, where it was meant to be sent before `before`. */
  oldest(before: number): number | undefined {
    while (this.#first < this.#next && this.#waiting[this.#first & MASK] === 0) this.#first++
    return this.#first < this.#next && this.at(this.#first) < before ? this.#first : undefined
  }
}
