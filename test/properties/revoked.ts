// The revocations of a simulation, and what each side has to know of them.

import type { Epoch, RevocationTarget } from '../../src/kernel/revocation.ts'
import type { FakeClock } from '../helpers/clock.ts'
import type { ServedNode } from './wire-stream.ts'

interface Revoked {
  readonly at: number
  readonly generation: number
  readonly sequence: number
  readonly value: RevokedValue | undefined
}

/** A value of an attribute. */
export interface RevokedValue {
  readonly name: string
  readonly value: string
}

/** When the last revocation came that concerns a request: nothing from before it may be served. */
export type RevokedAt = (bag: { get(name: string): unknown }) => number

/** Nodes apply revocations at once. */
export class RevokedLog {
  readonly #clock: FakeClock
  readonly #nodes: readonly ServedNode[]
  #all: readonly Revoked[] = []
  #generation = 0
  #sequence = 0
  #count = 0

  constructor(clock: FakeClock, nodes: readonly ServedNode[]) {
    this.#clock = clock
    this.#nodes = nodes
  }

  get count(): number {
    return this.#count
  }

  /** @param value whose answers are void; all are where there is none */
  revoke(value: RevokedValue | undefined): void {
    this.#count++
    const sequence = ++this.#sequence
    const target: RevocationTarget =
      value === undefined ? { kind: 'all' } : { kind: 'attribute', key: undefined, ...value }
    for (const { node } of this.#nodes) node.revocations.apply({ sequence, target })
    this.#note(value)
  }

  /** What numbers revocations begins anew, as a Redis does that has lost them: all is void that was answered before. */
  beginAnew(): void {
    this.#generation++
    this.#sequence = 0
    for (const { node } of this.#nodes) node.revocations.restart(`simulated/${this.#generation}@0`, 0)
    this.#note(undefined)
  }

  /** What nodes know now. */
  now(): RevokedAt {
    return lastOf(this.#all)
  }

  /** What somebody has to know now who has heard of all up to `known`, and of all that is so old in any case. */
  heard(known: Epoch | undefined, boundMs: number): RevokedAt {
    const generation = Number(/\/(\d+)@/.exec(known?.generation ?? '')?.[1] ?? 0)
    const bound = this.#clock.monotonic() - boundMs
    const isKnown = (of: Revoked) =>
      of.generation < generation || (of.generation === generation && of.sequence <= (known?.sequence ?? 0))
    return lastOf(this.#all.filter((of) => of.at < bound || isKnown(of)))
  }

  #note(value: RevokedValue | undefined): void {
    const at = this.#clock.monotonic()
    this.#all = [...this.#all, { at, generation: this.#generation, sequence: this.#sequence, value }]
  }
}

function lastOf(revoked: readonly Revoked[]): RevokedAt {
  return (bag) => {
    const last = revoked.findLast(({ value }) => value === undefined || bag.get(value.name) === value.value)
    return last?.at ?? Number.NEGATIVE_INFINITY
  }
}
