// Which node to ask. Requests with one affinity key go to one node as far as may be: it has their answers. Nothing that is
// right hangs on it, so views of who is there may differ.

import type { Clock, Random } from '../../kernel/ports.ts'
import { KeyShares } from './key-shares.ts'
import { hashOf, scoreOf } from './rendezvous.ts'

export interface Member {
  /** Its address, by which it is asked: the same to all that choose. */
  readonly id: string
  /** It goes: it is asked only where there is no other. */
  readonly isLeaving?: boolean
}

/** What is known of a node. */
export interface NodeStanding {
  readonly id: string
  readonly isLeaving: boolean
  /** Checks a second that come to it, as it told last; `undefined` where it has told nothing. */
  readonly load: number | undefined
  /** For how long it is asked only where there is no other, because it gave no answer. */
  readonly restsForMs: number
}

export interface ChooseNodeOptions {
  readonly clock: Clock
  readonly random: Random
  /** Nodes that a tenant's requests reach at most; 0: all. */
  readonly nodesPerTenant?: number
  /** How many times the mean load a node may have before its requests go to the next one. */
  readonly loadFactor?: number
  /** What part of one node's share of the requests a key may bring before several nodes serve it. */
  readonly hotShare?: number
}

/** A node that joins takes its share of the keys step by step. */
const SLOW_START_MS = 60_000
const FIRST_WEIGHT = 0.1
/** Checks a second by which the loads of nodes are not told apart: they say nothing yet. */
const LOAD_SLACK = 100
/**
 * Beyond so many times the mean load a node shares its hot keys with others. What is hot to one caller may be nothing to a node, so
 * that its load has to bear it out: otherwise who sees few keys would send each of them everywhere.
 */
const SHARING_FACTOR = 1.1
/** How long a node that failed is not asked, at first and at most. */
const FIRST_REST_MS = 100
const LONGEST_REST_MS = 5_000

interface Node {
  readonly id: string
  readonly hash: number
  isLeaving: boolean
  /** When it joined; −∞ for those that were there from the beginning. */
  readonly since: number
  /** As it told last, in checks a second; `undefined` where it is not known. */
  load: number | undefined
  restsUntil: number
  restMs: number
}

export class ChooseNode {
  readonly #options: ChooseNodeOptions
  readonly #shares = new KeyShares()
  #nodes = new Map<string, Node>()
  /** In the order of their ids. */
  #all: readonly Node[] = []
  /** Sum and number of the loads that are known: most callers are told by some nodes alone. */
  #load = 0
  #loads = 0

  constructor(options: ChooseNodeOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#all.length
  }

  /** Who is there from now on. An empty list changes nothing: it is likelier that nobody could be asked who is there. */
  setMembers(members: readonly Member[]): void {
    if (members.length === 0) return
    const now = this.#options.clock.monotonic()
    const isFirst = this.#nodes.size === 0
    const nodes = new Map<string, Node>()
    for (const { id, isLeaving = false } of members) {
      const known = this.#nodes.get(id)
      const since = isFirst ? Number.NEGATIVE_INFINITY : now
      const node = known ?? { id, hash: hashOf(id), isLeaving, since, load: undefined, restsUntil: 0, restMs: 0 }
      node.isLeaving = isLeaving
      nodes.set(id, node)
    }
    this.#nodes = nodes
    this.#all = [...nodes.values()].toSorted((one, two) => (one.id < two.id ? -1 : 1))
    ;[this.#load, this.#loads] = [0, 0]
    for (const { load } of this.#all) this.#addLoad(load, 1)
  }

  /** What a node tells of itself: how many checks a second it answers. `undefined`: nobody tells any more. */
  setLoad(id: string, load: number | undefined): void {
    const node = this.#nodes.get(id)
    if (node === undefined) return
    this.#addLoad(node.load, -1)
    this.#addLoad(load, 1)
    node.load = load
  }

  /** What is known of each node, for people. */
  view(): readonly NodeStanding[] {
    const now = this.#options.clock.monotonic()
    return this.#all.map(({ id, isLeaving, load, restsUntil }) => {
      return { id, isLeaving, load, restsForMs: Math.max(0, Math.round(restsUntil - now)) }
    })
  }

  /** It gave no answer: it rests, longer each time, and is asked meanwhile only where all others rest, too. */
  failed(id: string): void {
    const node = this.#nodes.get(id)
    // Many may have waited for what failed once.
    if (node === undefined || this.rests(id)) return
    node.restMs = Math.min(LONGEST_REST_MS, Math.max(FIRST_REST_MS, node.restMs * 2))
    // Not all callers come back at the same moment.
    node.restsUntil = this.#options.clock.monotonic() + node.restMs * (0.5 + this.#options.random() / 2)
  }

  /** Whether it is left alone, because it gave no answer. */
  rests(id: string): boolean {
    return this.#options.clock.monotonic() < (this.#nodes.get(id)?.restsUntil ?? 0)
  }

  answered(id: string): void {
    const node = this.#nodes.get(id)
    if (node === undefined) return
    node.restMs = 0
    node.restsUntil = 0
  }

  /**
   * The nodes to ask, the best one first: each later one where those before it gave no answer.
   * @param affinity what requests with the same answers have in common
   * @param tenant whose requests share a part of the nodes; where there are no parts it does not matter
   * @param count at most so many
   */
  choose(affinity: string, tenant: string, count: number): readonly string[] {
    const now = this.#options.clock.monotonic()
    const key = hashOf(affinity)
    const wide = this.#widthFor(key)
    const ranked = this.#ranked(key, this.#nodesOf(tenant), now, Math.max(count, wide) + 1)
    if (wide > 1 && loadOf(ranked[0]) > this.#mostLoad(SHARING_FACTOR)) this.#share(ranked, wide)
    return this.#balanced(ranked)
      .slice(0, count)
      .map(({ id }) => id)
  }

  /**
   * Of those that serve a hot key any one is as good: of two that chance takes, the one with less to do comes first.
   * Source: M. Mitzenmacher, "The power of two choices in randomized load balancing", 2001.
   */
  #share(ranked: Node[], wide: number): void {
    const draw = () => Math.floor(this.#options.random() * Math.min(wide, ranked.length))
    const [one, two] = [draw(), draw()]
    const [chosen] = ranked.splice(loadOf(ranked[two]) < loadOf(ranked[one]) ? two : one, 1)
    if (chosen !== undefined) ranked.unshift(chosen)
  }

  /** How many nodes may serve the key. */
  #widthFor(key: number): number {
    const share = this.#shares.count(key)
    const { hotShare = 0.1 } = this.#options
    return Math.max(1, Math.min(this.#all.length, Math.ceil((share * this.#all.length) / hotShare)))
  }

  /** Shuffle sharding: tenants share few of their nodes, so that one which harms its nodes harms few others. */
  #nodesOf(tenant: string): readonly Node[] {
    const { nodesPerTenant = 0 } = this.#options
    if (nodesPerTenant === 0 || nodesPerTenant >= this.#all.length) return this.#all
    const salt = hashOf(`tenant ${tenant}`)
    return best(this.#all, (node) => scoreOf(salt, node.hash, 1), nodesPerTenant)
  }

  #ranked(key: number, nodes: readonly Node[], now: number, count: number): Node[] {
    const ranked = best(nodes, (node) => scoreOf(key, node.hash, weightOf(node, now)), count)
    // Who rests or goes comes last, in the same order.
    return isAnyAway(ranked, now) ? this.#presentFirst(key, nodes, now, count) : ranked
  }

  #presentFirst(key: number, nodes: readonly Node[], now: number, count: number): Node[] {
    const score = (node: Node) => scoreOf(key, node.hash, weightOf(node, now))
    const present = nodes.filter((node) => !isAway(node, now))
    const away = nodes.filter((node) => isAway(node, now))
    return [...best(present, score, count), ...best(away, score, count)].slice(0, count)
  }

  /**
   * Puts those behind that have more than their share of the load.
   * Source: V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent hashing with bounded loads", 2018.
   */
  #balanced(ranked: readonly Node[]): readonly Node[] {
    const most = this.#mostLoad(this.#options.loadFactor ?? 1.35)
    const [first] = ranked
    if (loadOf(first) <= most) return ranked
    return [...ranked.filter((node) => loadOf(node) <= most), ...ranked.filter((node) => loadOf(node) > most)]
  }

  #mostLoad(factor: number): number {
    return factor * (this.#load / Math.max(1, this.#loads)) + LOAD_SLACK
  }

  #addLoad(load: number | undefined, times: 1 | -1): void {
    if (load === undefined) return
    this.#load += times * load
    this.#loads += times
  }
}

/** One whose load is not known is taken for idle: asked once, it tells. */
const loadOf = (node: Node | undefined) => node?.load ?? 0

function weightOf({ since }: Node, now: number): number {
  const age = now - since
  return age >= SLOW_START_MS ? 1 : Math.max(FIRST_WEIGHT, age / SLOW_START_MS)
}

const isAway = ({ isLeaving, restsUntil }: Node, now: number) => isLeaving || now < restsUntil
const isAnyAway = (nodes: readonly Node[], now: number) => nodes.some((node) => isAway(node, now))

/** Those with the highest scores, in their order. Nodes are some hundred at most, so that all are looked at. */
function best(nodes: readonly Node[], scored: (node: Node) => number, count: number): Node[] {
  const found: { readonly node: Node; readonly score: number }[] = []
  for (const node of nodes) {
    const score = scored(node)
    let at = found.length
    while (at > 0 && (found[at - 1]?.score ?? 0) < score) at--
    if (at >= count) continue
    found.splice(at, 0, { node, score })
    if (found.length > count) found.pop()
  }
  return found.map(({ node }) => node)
}
