// A mesh under requests: callers with caches of their own or without, what chooses nodes for them, and the nodes. Time is
// simulated. What chooses and what makes room is the code of sidecars and nodes; messages take no time.

import { ChooseNode } from '../../src/client/nodes/choose-node.ts'
import type { Clock } from '../../src/kernel/ports.ts'
import { exponential, seededRandom } from '../random.ts'
import { ZipfSampler } from '../zipf.ts'
import { Entries } from './entries.ts'
import { SimulatedNodes } from './simulated-nodes.ts'

export interface MeshSetup {
  readonly nodes: number
  /** Answers that a node keeps. */
  readonly entries: number
  readonly keys: number
  readonly exponent: number
  /** Requests a second of all callers together. */
  readonly perSecond: number
  readonly seconds: number
  /** Before those that are counted, to fill the caches. */
  readonly fillSeconds: number
  readonly validityMs: number
  readonly seed: number
  /** How a caller chooses a node: any, or by its key. */
  readonly route: 'any' | 'key'
  readonly callers: number
  /** Each caller stands beside one of so many services and sees the requests to it alone; 0: each sees requests of all kinds. */
  readonly services: number
  /** Answers that a caller keeps; 0: it is no sidecar. */
  readonly callerEntries: number
}

export interface MeshFigures {
  readonly requests: number
  /** Shares of all requests. */
  readonly calls: number
  readonly redis: number
  readonly backend: number
  /** The share of calls that nodes answer from their own caches. */
  readonly nodeHits: number
  /** The load of the busiest node beside the mean. */
  readonly imbalance: number
}

/** How often a node tells a caller its load. */
const TOLD_EVERY_MS = 500
/** Keys are spread over so many services where callers see all of them. */
const SERVICES = 50

export const nodeId = (index: number) => `node-${index}:9091`
/** What requests with one key have in common: the service that is asked and who asks. */
export const affinityOf = (key: number, services: number) => `service-${key % services}.prod caller-${key}`

export function choosing(nodes: number, random: () => number, clock: Clock): ChooseNode {
  const choose = new ChooseNode({ clock, random })
  choose.setMembers(Array.from({ length: nodes }, (_, i) => ({ id: nodeId(i) })))
  return choose
}

/** A clock that is set. */
export class SetClock implements Clock {
  time = 0
  readonly now = () => this.time
  readonly monotonic = () => this.time
  readonly attentive = () => this.time
  after(): never {
    throw new Error('nothing here waits')
  }
  turn(): never {
    throw new Error('nothing here waits')
  }
}

interface Caller {
  readonly choose: ChooseNode
  readonly entries: Entries | undefined
  toldAt: number
}

export function simulateMesh(setup: MeshSetup): MeshFigures {
  const { perSecond, seconds, fillSeconds, seed, route, callerEntries } = setup
  const services = setup.services === 0 ? SERVICES : setup.services
  const random = seededRandom(seed)
  const sampler = new ZipfSampler(setup.keys, setup.exponent, seededRandom(seed + 1))
  const clock = new SetClock()
  const ids = Array.from({ length: setup.nodes }, (_, i) => nodeId(i))
  const nodes = new SimulatedNodes({ ids, entries: setup.entries, validityMs: setup.validityMs }, setup.keys)
  // As if it had run for long: otherwise all verdicts would end together again and again.
  for (let key = 0; key < setup.keys; key++) {
    const expected = (sampler.share(key) * perSecond * setup.validityMs) / 1_000
    if (random() < expected / (1 + expected)) nodes.has(key, random() * setup.validityMs)
  }
  const callers = Array.from({ length: setup.callers }, (_, i): Caller => {
    const entries = callerEntries === 0 ? undefined : new Entries(callerEntries)
    // Not all of them hear at the same moment.
    return { choose: choosing(setup.nodes, random, clock), entries, toldAt: (i / setup.callers - 1) * TOLD_EVERY_MS }
  })
  const each = setup.services === 0 ? setup.callers : Math.max(1, Math.floor(setup.callers / services))
  let requests = 0
  let isCounting = false
  for (;;) {
    clock.time += exponential(1_000 / perSecond, random)
    const now = clock.time
    if (now >= 1_000 * (fillSeconds + seconds)) break
    if (!isCounting && now >= 1_000 * fillSeconds) {
      isCounting = true
      nodes.forgetCounts()
    }
    if (isCounting) requests++
    const key = sampler.next()
    const drawn = Math.floor(random() * each)
    const caller = callers[setup.services === 0 ? drawn : (key % services) + drawn * services]
    if (caller === undefined) throw new Error('there are fewer callers than services')
    if (caller.entries?.find(key, now) !== undefined) continue
    while (now - caller.toldAt >= TOLD_EVERY_MS) {
      caller.toldAt += TOLD_EVERY_MS * Math.floor((now - caller.toldAt) / TOLD_EVERY_MS)
      for (const id of ids) caller.choose.setLoad(id, nodes.loadOf(id, now))
    }
    const id =
      route === 'any'
        ? ids[Math.floor(random() * ids.length)]
        : caller.choose.choose(affinityOf(key, services), '', 1)[0]
    const freshUntil = nodes.ask(id ?? '', key, now)
    caller.entries?.keep(key, freshUntil)
  }
  const { calls, hits, redis, backend } = nodes.counts
  return {
    requests,
    calls: calls / requests,
    redis: redis / requests,
    backend: backend / requests,
    nodeHits: hits / calls,
    imbalance: nodes.imbalance,
  }
}
