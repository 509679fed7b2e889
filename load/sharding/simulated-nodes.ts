// Nodes as counters: each with the cache of its own answers, all over one cache of the mesh, over backends.

import { Entries } from './entries.ts'

export interface NodesOptions {
  readonly ids: readonly string[]
  /** Answers that a node keeps. */
  readonly entries: number
  /** How long a verdict holds, in ms. */
  readonly validityMs: number
}

export interface NodeCounts {
  calls: number
  hits: number
  /** Reads of Redis; each that finds nothing is followed by a write. */
  redis: number
  backend: number
}

/** Seconds over which a node averages what it tells of its load. */
const LOAD_SECONDS = 1

interface Node {
  readonly entries: Entries
  calls: number
  load: number
  loadAt: number
}

export class SimulatedNodes {
  readonly counts: NodeCounts = { calls: 0, hits: 0, redis: 0, backend: 0 }
  readonly #options: NodesOptions
  readonly #nodes: Map<string, Node>
  /** What Redis has; it has room for all. */
  readonly #mesh: Float64Array

  constructor(options: NodesOptions, keys: number) {
    this.#options = options
    this.#nodes = new Map(options.ids.map((id) => [id, newNode(options.entries)]))
    this.#mesh = new Float64Array(keys).fill(Number.NEGATIVE_INFINITY)
  }

  /** Puts a verdict into Redis. */
  has(key: number, freshUntil: number): void {
    this.#mesh[key] = freshUntil
  }

  /** Answers a check; what has to be fetched is there at once. @returns until when the answer holds */
  ask(id: string, key: number, now: number): number {
    const node = this.#nodes.get(id)
    if (node === undefined) throw new Error(`there is no node ${id}`)
    const { counts } = this
    counts.calls++
    node.calls++
    node.load = decayed(node, now) + 1 / LOAD_SECONDS
    node.loadAt = now
    const found = node.entries.find(key, now)
    if (found !== undefined) {
      counts.hits++
      return found
    }
    counts.redis++
    let freshUntil = this.#mesh[key] ?? Number.NEGATIVE_INFINITY
    if (freshUntil <= now) {
      counts.backend++
      freshUntil = now + this.#options.validityMs
      this.#mesh[key] = freshUntil
    }
    node.entries.keep(key, freshUntil)
    return freshUntil
  }

  /** Checks a second, as the node tells it. */
  loadOf(id: string, now: number): number {
    const node = this.#nodes.get(id)
    return node === undefined ? 0 : decayed(node, now)
  }

  /** The load of the busiest node beside the mean of all. */
  get imbalance(): number {
    const calls = Array.from(this.#nodes.values(), (node) => node.calls)
    return Math.max(...calls) / (this.counts.calls / calls.length)
  }

  forgetCounts(): void {
    Object.assign(this.counts, { calls: 0, hits: 0, redis: 0, backend: 0 })
    for (const node of this.#nodes.values()) node.calls = 0
  }
}

const newNode = (entries: number): Node => ({ entries: new Entries(entries), calls: 0, load: 0, loadAt: 0 })
const decayed = ({ load, loadAt }: Node, now: number) => load * Math.exp((loadAt - now) / (1_000 * LOAD_SECONDS))
