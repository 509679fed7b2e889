// Nodes that follow one log of revocations in a real Redis, each on time of its own that stands while Redis is asked.

import { revocationKeys } from '../../src/cache/revocation-log.ts'
import { Revocations } from '../../src/cache/revocations.ts'
import { RevocationService } from '../../src/cache/revocation-service.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { MeshSignatures } from '../../src/kernel/mesh-signatures.ts'
import type { RedisClient } from '../../src/redis/create-client.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { FakeClock } from '../helpers/clock.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'

const PREFIX = 'test'
export const KEYS = revocationKeys(PREFIX)
/** Longer than nodes take until they look at everything, and not at the head of the log alone. */
export const LOOK_MS = 6_000
export const PARTITION_MAX_AGE_MS = 30_000

/** A node's way to Redis, which a test can cut or hold. */
class Wire {
  readonly #link: RedisLink
  inFlight = 0
  calls = 0
  /** While true, every call fails as it does with Redis away. */
  cut = false
  /** Calls still to be let through before the wire is cut. */
  cutAfter = Number.POSITIVE_INFINITY

  constructor(link: RedisLink) {
    this.#link = link
  }

  async run<T>(operation: (client: RedisClient) => Promise<T>, timeoutMs?: number): Promise<T> {
    if (this.cutAfter-- <= 0) this.cut = true
    if (this.cut) throw new IntermixError('REDIS_UNAVAILABLE', 'Redis is not reachable')
    this.inFlight++
    this.calls++
    try {
      return await this.#link.run(operation, timeoutMs)
    } finally {
      this.inFlight--
    }
  }
}

export interface MeshNode {
  readonly id: string
  readonly clock: FakeClock
  readonly revocations: Revocations
  readonly service: RevocationService
  readonly wire: Wire
  readonly log: KeptLog
  /** A stuck node's time stands still: it neither polls nor does anything else. */
  stuck: boolean
}

interface Head {
  readonly generation: string
  readonly sequence: number | string
  readonly mark: string
  readonly run: string
}

/** The nodes of a test; `drive` lets their time pass. */
export class RevocationMesh {
  readonly nodes: MeshNode[] = []
  readonly #link: RedisLink

  constructor(link: RedisLink) {
    this.#link = link
  }

  /** Starts a node, which has read the log once when this resolves. */
  async join(id: string, signatures?: MeshSignatures): Promise<MeshNode> {
    const clock = new FakeClock()
    const wire = new Wire(this.#link)
    const log = new KeptLog()
    const revocations = new Revocations()
    const onUp = (callback: () => void) => this.#link.onUp(callback)
    const link = Object.assign(Object.create(this.#link) as RedisLink, {
      run: wire.run.bind(wire),
      onUp,
      reason: () => undefined,
    })
    const meter = new ReadableMeter()
    const options = { revocations, link, clock, log, meter, prefix: PREFIX, nodeId: id, signatures }
    const service = new RevocationService({ ...options, partitionMaxAgeMs: PARTITION_MAX_AGE_MS })
    const node = { id, clock, revocations, service, wire, log, stuck: false }
    this.nodes.push(node)
    await this.drive(service.start())
    return node
  }

  /** The first three nodes of the mesh. */
  async three(): Promise<[MeshNode, MeshNode, MeshNode]> {
    const [one, two, third] = await this.joinAll(3)
    if (one === undefined || two === undefined || third === undefined) throw new Error('no nodes')
    return [one, two, third]
  }

  /** Starts `count` nodes, n1 first, and lets them settle as in a mesh that has been running for a while. */
  async joinAll(count: number): Promise<MeshNode[]> {
    const nodes: MeshNode[] = []
    for (let i = 1; i <= count; i++) nodes.push(await this.join(`n${i}`))
    const later = (generation: string) =>
      generation.replace(/(\d+)@\d+$/, (_, number: string) => `${Number(number) + 1}@1`)
    await this.setHead((head) => ({ ...head, generation: later(head.generation) }))
    await this.pass(1_200)
    return nodes
  }

  /** Changes what stands at the head of the log. */
  async setHead(change: (head: Head) => Head): Promise<void> {
    const [generation = '', sequence, mark = '', run = ''] =
      (await this.#link.run((client) => client.get(KEYS.head)))?.split(' ') ?? []
    const head = change({ generation, sequence: Number(sequence), mark, run })
    const words = [head.generation, head.sequence, head.mark, head.run].join(' ')
    await this.#link.run((client) => client.set(KEYS.head, words))
  }

  /** Lets time pass on all nodes that are not stuck, never while one of their calls is under way, until it settles. */
  async drive<T>(promise: Promise<T>): Promise<T> {
    const state = { settled: false }
    const done = () => {
      state.settled = true
    }
    promise.then(done, done)
    while (!state.settled) await this.#turn(10)
    return await promise
  }

  /** Lets `ms` pass. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; ) if (await this.#turn(10)) passed += 10
    while (this.#busy()) await this.#turn(0)
  }

  stop(): void {
    for (const node of this.nodes) node.service.stop()
  }

  #busy(): boolean {
    return this.nodes.some((node) => node.wire.inFlight > 0)
  }

  /** One turn of the event loop; true when time passed. */
  async #turn(ms: number): Promise<boolean> {
    await new Promise((resolve) => setImmediate(resolve))
    if (this.#busy()) return false
    for (const node of this.nodes) if (!node.stuck) await node.clock.advance(ms)
    return true
  }
}

const HANDLER = 'backend.handler.test'
const EVE = MapBag.of({ 'source.user': 'eve' })

/** Whether the node would serve a verdict of the handler that was asked for at `epoch`. */
export function serves(node: MeshNode, epoch: MeshNode['revocations']['epoch'], handler = HANDLER): boolean {
  return node.revocations.allows(epoch, [handler], EVE)
}

export const BY_HANDLER = { kind: 'handler', handler: HANDLER } as const
export const OTHER = 'other.handler.test'
export const BY_OTHER = { kind: 'handler', handler: OTHER } as const
