// Which cached verdicts have been revoked. Revocations are numbered in one sequence for the whole mesh, and a verdict
// carries the number up to which its node had seen revocations before it asked the backend. So a verdict is void
// exactly when a matching revocation has a higher number: no clock is compared, and a fill that was in flight while
// the revocation came is void too.

import { valueToText } from '../adapter-kit/value-text.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { Epoch, Revocation, RevocationTarget } from '../kernel/revocation.ts'
import { isAmbiguous, isStringMap } from '../kernel/value.ts'
import { formatIp, parseIp } from '../kernel/ip-address.ts'

interface AttributeRevocations {
  readonly name: string
  readonly key: string | undefined
  /** Names of headers are written in any case and kept in lower case. */
  readonly foldedKey: string
  readonly byValue: Map<string, number>
  /** The highest number of all values. */
  latest: number
}

/** At most so many attribute values and so many handlers are kept apart; beyond, they turn into one of everything. */
const MAX_KEPT = 10_000
/** So many of the last ones are kept for those that follow this node. */
const MAX_RECENT = 1_000

/** The revocations that this node has applied. */
export class Revocations {
  #generation = 'local'
  #sequence = 0
  #all = 0
  #handlers = new Map<string, number>()
  #attributes = new Map<string, AttributeRevocations>()
  #values = 0
  #epoch: Epoch = { generation: this.#generation, sequence: this.#sequence }
  /** In their order; twice as many as are told, so that they are seldom cut. */
  #recent: Revocation[] = []
  readonly #listeners = new Set<() => void>()

  /**
   * The epoch that a verdict must be stamped with: take it before the backend is asked. All that is stamped with the same
   * one has the same object.
   */
  get epoch(): Epoch {
    if (this.#epoch.sequence !== this.#sequence || this.#epoch.generation !== this.#generation) {
      this.#epoch = { generation: this.#generation, sequence: this.#sequence }
    }
    return this.#epoch
  }

  /** Applies a revocation; one that was applied before changes nothing. */
  apply(revocation: Revocation): void {
    const { sequence } = revocation
    const isNext = sequence > this.#sequence
    if (isNext) {
      this.#sequence = sequence
      this.#recent.push(revocation)
      if (this.#recent.length > 2 * MAX_RECENT) this.#recent = this.#recent.slice(-MAX_RECENT)
    }
    this.#void(revocation)
    if (isNext) for (const listener of this.#listeners) listener()
  }

  /**
   * The revocations behind a number, as far as they are kept: where the first of them has not the next number, some are missing
   * that nobody knows any more.
   */
  since(sequence: number): readonly Revocation[] {
    if (sequence >= this.#sequence) return []
    return this.#recent.slice(-MAX_RECENT).filter((revocation) => revocation.sequence > sequence)
  }

  /** Calls back when the epoch has changed; the returned function ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #void({ sequence, target }: Revocation): void {
    if (target.kind === 'all') this.#all = Math.max(this.#all, sequence)
    else if (target.kind === 'handler') this.#revokeHandler(target.handler, sequence)
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
    this.#recent = []
    for (const listener of this.#listeners) listener()
  }

  /** Voids everything stamped below `sequence`: for a node that missed records which are no longer kept. */
  revokeBelow(sequence: number): void {
    this.apply({ sequence, target: { kind: 'all' } })
  }

  /**
   * Whether a verdict stamped with `epoch` may still be served to this request. One that claims to know more than this
   * node does not: it comes from a node that is a moment ahead, or it has a number that would outlive every revocation.
   */
  allows(epoch: Epoch, handlers: readonly string[], bag: AttributeBag): boolean {
    if (epoch.generation !== this.#generation) return false
    if (epoch.sequence >= this.#sequence) return epoch.sequence === this.#sequence
    if (epoch.sequence < this.#all) return false
    for (const handler of handlers) if (epoch.sequence < (this.#handlers.get(handler) ?? 0)) return false
    return this.#attributes.size === 0 || epoch.sequence >= this.#valueSequence(bag)
  }

  #valueSequence(bag: AttributeBag): number {
    let highest = 0
    for (const entry of this.#attributes.values()) {
      const text = attributeText(bag, entry)
      if (text !== undefined) highest = Math.max(highest, entry.byValue.get(text) ?? 0)
      // A value that cannot be found out, or told for sure, may be any of those that were revoked.
      else if (isUnknown(bag, entry)) highest = Math.max(highest, entry.latest)
    }
    return highest
  }

  #revokeHandler(handler: string, sequence: number): void {
    raise(this.#handlers, handler, sequence)
    if (this.#handlers.size <= MAX_KEPT) return
    this.#handlers = new Map()
    this.#all = Math.max(this.#all, sequence)
  }

  #revokeValue(target: Extract<RevocationTarget, { kind: 'attribute' }>, sequence: number): void {
    const id = `${target.name.length}:${target.name}${target.key ?? ''}${target.key === undefined ? '' : '!'}`
    let entry = this.#attributes.get(id)
    if (entry === undefined) {
      const foldedKey = target.key?.toLowerCase() ?? ''
      entry = { name: target.name, key: target.key, foldedKey, byValue: new Map(), latest: 0 }
      this.#attributes.set(id, entry)
    }
    const known = entry.byValue.size
    entry.latest = Math.max(entry.latest, sequence)
    // Attributes that are text keep whatever notation they came in; those that are addresses have the usual one.
    raise(entry.byValue, target.value, sequence)
    raise(entry.byValue, normalise(target.value), sequence)
    this.#values += entry.byValue.size - known
    if (this.#values > MAX_KEPT) {
      this.#attributes = new Map()
      this.#values = 0
      this.#all = Math.max(this.#all, sequence)
    }
  }
}

function raise(map: Map<string, number>, key: string, sequence: number): void {
  map.set(key, Math.max(map.get(key) ?? 0, sequence))
}

function attributeText(bag: AttributeBag, { name, key, foldedKey }: AttributeRevocations): string | undefined {
  const value = bag.get(name)
  if (value === undefined || isAmbiguous(value, key)) return undefined
  if (key === undefined) return valueToText(value)
  return typeof value === 'object' && isStringMap(value) ? (value.get(key) ?? value.get(foldedKey)) : undefined
}

function isUnknown(bag: AttributeBag, { name, key }: AttributeRevocations): boolean {
  const value = bag.get(name)
  return value === undefined ? bag.unknown?.(name) !== undefined : isAmbiguous(value, key)
}

/** An IP address in whichever notation is compared in the usual one. */
function normalise(value: string): string {
  const ip = parseIp(value)
  return ip === undefined ? value : formatIp(ip)
}
