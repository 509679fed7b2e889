// Which cached verdicts have been revoked. Revocations are numbered in one sequence for the whole mesh, and a verdict
// carries the number up to which its node had seen revocations before it asked the backend. So a verdict is void
// exactly when a matching revocation has a higher number: no clock is compared, and a fill that was in flight while
// the revocation came is void too.

import { valueToText } from '../adapter-kit/value-text.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { isStringMap } from '../kernel/value.ts'
import { formatIp, parseIp } from '../kernel/ip-address.ts'

/** What a revocation is about: one handler, one attribute value (of a map: one key's value), or everything. */
export type RevocationTarget =
  | { readonly kind: 'all' }
  | { readonly kind: 'handler'; readonly handler: string }
  | { readonly kind: 'attribute'; readonly name: string; readonly key: string | undefined; readonly value: string }

export interface Revocation {
  readonly sequence: number
  readonly target: RevocationTarget
}

/** The point in the sequence at which something was asked; `generation` changes when the sequence started anew. */
export interface Epoch {
  readonly generation: string
  readonly sequence: number
}

interface AttributeRevocations {
  readonly name: string
  readonly key: string | undefined
  readonly byValue: Map<string, number>
}

/** At most so many attribute values are kept apart; beyond, the oldest turn into a revocation of everything. */
const MAX_VALUES = 10_000

/** The revocations that this node has applied. */
export class Revocations {
  #generation = 'local'
  #sequence = 0
  #all = 0
  #handlers = new Map<string, number>()
  #attributes = new Map<string, AttributeRevocations>()
  #values = 0

  /** The epoch that a verdict must be stamped with: take it before the backend is asked. */
  get epoch(): Epoch {
    return { generation: this.#generation, sequence: this.#sequence }
  }

  /** Applies a revocation; one that was applied before changes nothing. */
  apply({ sequence, target }: Revocation): void {
    this.#sequence = Math.max(this.#sequence, sequence)
    if (target.kind === 'all') this.#all = Math.max(this.#all, sequence)
    else if (target.kind === 'handler') raise(this.#handlers, target.handler, sequence)
    else this.#revokeValue(target, sequence)
  }

  /** Starts over with a new sequence: everything that was stamped under another generation is void. */
  restart(generation: string, sequence: number): void {
    this.#generation = generation
    this.#sequence = sequence
    this.#all = 0
    this.#handlers = new Map()
    this.#attributes = new Map()
    this.#values = 0
  }

  /** Voids everything stamped below `sequence`: for a node that missed records which are no longer kept. */
  revokeBelow(sequence: number): void {
    this.apply({ sequence, target: { kind: 'all' } })
  }

  /** Whether a verdict stamped with `epoch` may still be served to this request. */
  allows(epoch: Epoch, handlers: readonly string[], bag: AttributeBag): boolean {
    if (epoch.generation !== this.#generation) return false
    if (epoch.sequence >= this.#sequence) return true
    if (epoch.sequence < this.#all) return false
    for (const handler of handlers) if (epoch.sequence < (this.#handlers.get(handler) ?? 0)) return false
    return this.#attributes.size === 0 || epoch.sequence >= this.#valueSequence(bag)
  }

  #valueSequence(bag: AttributeBag): number {
    let highest = 0
    for (const { name, key, byValue } of this.#attributes.values()) {
      const text = attributeText(bag, name, key)
      if (text !== undefined) highest = Math.max(highest, byValue.get(text) ?? 0)
    }
    return highest
  }

  #revokeValue(target: Extract<RevocationTarget, { kind: 'attribute' }>, sequence: number): void {
    const id = `${target.name.length}:${target.name}${target.key ?? ''}${target.key === undefined ? '' : '!'}`
    let entry = this.#attributes.get(id)
    if (entry === undefined) {
      entry = { name: target.name, key: target.key, byValue: new Map() }
      this.#attributes.set(id, entry)
    }
    const value = normalise(target.value)
    if (!entry.byValue.has(value)) this.#values++
    raise(entry.byValue, value, sequence)
    if (this.#values > MAX_VALUES) {
      this.#attributes = new Map()
      this.#values = 0
      this.#all = Math.max(this.#all, sequence)
    }
  }
}

function raise(map: Map<string, number>, key: string, sequence: number): void {
  map.set(key, Math.max(map.get(key) ?? 0, sequence))
}

function attributeText(bag: AttributeBag, name: string, key: string | undefined): string | undefined {
  const value = bag.get(name)
  if (value === undefined) return undefined
  if (key !== undefined) return typeof value === 'object' && isStringMap(value) ? value.get(key) : undefined
  return valueToText(value)
}

/** An IP address in whichever notation is compared in the usual one. */
function normalise(value: string): string {
  const ip = parseIp(value)
  return ip === undefined ? value : formatIp(ip)
}
