// Finds the pool of a request: that of a quota's name under a config, and of how the request answers the questions on which
// grants depended. Two requests with one pool are charged to the same counters at a node.

import { LRUCache } from 'lru-cache'
import { canonicalValue } from '../../cache/canonical-value.ts'
import { type Linked, SecondChance } from '../../cache/second-chance.ts'
import { type Shape, ShapeTree } from '../../cache/shape-tree.ts'
import { sharingSteps } from '../../expression/steps.ts'
import type { AnswerShape } from '../../kernel/answer-shape.ts'
import type { AttributeBag } from '../../kernel/attribute-bag.ts'
import { KnownQuestions } from '../known-questions.ts'

export interface PoolIndexOptions<P> {
  readonly maxPools: number
  readonly maxBytes: number
  /** After which time without use a pool goes, in ms. */
  readonly idleMs: number
  make(now: number): P
}

/** Pools by the values of the requests that have them. */
type ByValues<P> = Map<string, KeptPool<P>>

interface QuotaTree<P> {
  readonly config: ConfigPools<P>
  readonly name: string
  readonly tree: ShapeTree<ByValues<P>>
}

type ConfigPools<P> = Map<string, QuotaTree<P>>

export interface KeptPool<P> extends Linked<KeptPool<P>> {
  readonly pool: P
  /** As it was told last. */
  told: AnswerShape
  readonly values: string
  readonly shape: Shape<ByValues<P>>
  readonly quota: QuotaTree<P>
  usedAt: number
}

/** Configs at one time: nodes that are told of a new one follow one after the other. */
const MAX_CONFIGS = 4
/** A pool with what it is found by, without its values and its path, in bytes. */
const POOL_BYTES = 1_000
/** What a pool may take in any case, in bytes; more where there is room for a hundred such. */
const LEAST_BYTES = 8_192
/** Pools that are looked at, whether they are idle, when one comes. */
const SWEPT = 2

export class PoolIndex<P> {
  readonly #options: PoolIndexOptions<P>
  readonly #configs = new LRUCache<string, ConfigPools<P>>({ max: MAX_CONFIGS })
  readonly #questions = new KnownQuestions()
  readonly #kept = new SecondChance<KeptPool<P>>()
  #treeBytes = 0

  constructor(options: PoolIndexOptions<P>) {
    this.#options = options
  }

  get size(): number {
    return this.#kept.size
  }

  /** What the pools take of memory with all that they are found by, roughly. */
  get bytes(): number {
    return this.#kept.bytes + this.#treeBytes
  }

  find(config: string, name: string, bag: AttributeBag, now: number): KeptPool<P> | undefined {
    const tree = this.#configs.get(config)?.get(name)?.tree
    if (tree === undefined) return undefined
    const found = sharingSteps(() => tree.find(bag, (byValues, values) => byValues.get(values)))
    if (found !== undefined) {
      found.isUsed = true
      found.usedAt = now
    }
    return found
  }

  /**
   * What of a request says to which counter a grant of such a shape was charged. Of one that says nothing of what it depended on
   * it is all that is known of the request.
   */
  chargedTo(shape: AnswerShape | undefined, bag: AttributeBag): string {
    const steps = shape && sharingSteps(() => this.#questions.answers([...shape.choosing, ...shape.reads], bag))
    if (shape === undefined || steps === undefined) return `all ${wholeOf(bag)}`
    let values = `${shape.config} `
    for (const { value } of steps) values += value
    return values
  }

  /**
   * The pool of a request whose grant depended on what the shape tells; a new one where there is none.
   * @returns `undefined` where the request answers otherwise than the node says, or where it would be too large
   */
  file(name: string, shape: AnswerShape, bag: AttributeBag, now: number): KeptPool<P> | undefined {
    const steps = sharingSteps(() => this.#questions.answers([...shape.choosing, ...shape.reads], bag))
    if (steps === undefined) return undefined
    let values = ''
    for (const { value } of steps) values += value
    const bytes = POOL_BYTES + 2 * values.length
    if (bytes > Math.max(LEAST_BYTES, this.#options.maxBytes / 100)) return undefined
    const quota = this.#quota(shape.config, name)
    const { tree } = quota
    const before = tree.bytes
    const place = tree.add(steps, () => new Map(), this.#forget)
    this.#treeBytes += tree.bytes - before
    const known = place.kept.get(values)
    // The rules behind the same answers may be others, where nodes found attributes by themselves.
    if (known?.told.scope === shape.scope) return known
    if (known !== undefined) this.#kept.remove(known)
    const made: KeptPool<P> = {
      pool: this.#options.make(now),
      told: shape,
      values,
      shape: place,
      quota,
      usedAt: now,
      bytes,
      isUsed: true,
      older: undefined,
      newer: undefined,
    }
    place.kept.set(values, made)
    this.#kept.add(made)
    this.#makeRoom(now)
    return made
  }

  /** Forgets a pool, where it has not been forgotten yet. */
  drop(kept: KeptPool<P>): void {
    const { values, shape, quota } = kept
    if (shape.kept.get(values) !== kept) return
    shape.kept.delete(values)
    this.#kept.remove(kept)
    if (shape.kept.size > 0) return
    const { tree, config, name } = quota
    this.#treeBytes -= tree.bytes
    tree.remove(shape)
    this.#treeBytes += tree.bytes
    if (tree.size === 0) config.delete(name)
  }

  #quota(config: string, name: string): QuotaTree<P> {
    let pools = this.#configs.get(config)
    if (pools === undefined) this.#configs.set(config, (pools = new Map()))
    let quota = pools.get(name)
    if (quota === undefined) pools.set(name, (quota = { config: pools, name, tree: new ShapeTree() }))
    return quota
  }

  /** Of a shape that is in its tree no more. */
  readonly #forget = (pools: ByValues<P>): void => {
    for (const kept of pools.values()) this.#kept.remove(kept)
    pools.clear()
  }

  #makeRoom(now: number): void {
    const { maxPools, maxBytes, idleMs } = this.#options
    for (let swept = 0; this.size > 1; swept++) {
      const victim = this.#kept.victim()
      const isFull = this.size > maxPools || this.bytes > maxBytes
      if (victim === undefined || !(isFull || (swept < SWEPT && now - victim.usedAt > idleMs))) return
      this.drop(victim)
    }
  }
}

function wholeOf(bag: AttributeBag): string {
  const all: string[] = []
  for (const name of [...bag.names()].sort()) {
    const value = bag.get(name)
    if (value !== undefined) all.push(`${name.length}:${name}${canonicalValue(value)}`)
  }
  return all.join('')
}
