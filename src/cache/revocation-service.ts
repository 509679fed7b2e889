// Spreads revocations over the mesh: a numbered log in Redis that every node follows, and an acknowledgement that says
// which nodes have applied them. A node that cannot follow the log serves only verdicts younger than a bound.

import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Gauge, Logger, Meter } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import { defineScript } from '../redis/scripts.ts'
import type { Revocations, RevocationTarget } from './revocations.ts'

interface SyncReply {
  readonly generation: string
  readonly sequence: number
  readonly firstKept: number
  readonly records: readonly string[]
}

const APPEND = defineScript<{ generation: string; sequence: number }>({
  name: 'revocation-append',
  keys: 3,
  reply: (raw) => {
    const [generation, sequence] = raw as [string, number]
    return { generation, sequence }
  },
})
const SYNC = defineScript<SyncReply>({
  name: 'revocation-sync',
  keys: 4,
  reply: (raw) => {
    const [generation, sequence, firstKept, records] = raw as [string, number, number, string[]]
    return { generation, sequence, firstKept, records }
  },
})

/** How a revocation was taken up. It holds on every node in `confirmed`; the others are named with how they lag. */
export interface RevocationReceipt {
  readonly sequence: number
  readonly confirmed: readonly string[]
  /** Nodes that have been alive within the last seconds and have not confirmed in time. */
  readonly unconfirmed: readonly string[]
  /** After this many milliseconds no unconfirmed node can serve the revoked verdict either. */
  readonly boundMs: number
}

export interface RevocationServiceOptions {
  readonly revocations: Revocations
  /** `undefined`: this process is the whole mesh. */
  readonly link: RedisLink | undefined
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  readonly prefix: string
  readonly nodeId: string
  /** The oldest verdict, in ms, that is served while the node is out of touch with the log. */
  readonly partitionMaxAgeMs: number
}

const POLL_MS = 250
/** Without word from the log for this long, the node takes itself for out of touch. */
const OUT_OF_TOUCH_MS = 2_000
const FORGET_NODE_MS = 10_000
const KEPT_RECORDS = 20_000
const CONFIRM_PATIENCE_MS = 3_000

export class RevocationService {
  readonly #options: RevocationServiceOptions
  readonly #keys: { sequence: string; generation: string; log: string; nodes: string }
  readonly #inTouchGauge: Gauge
  #lastSync = Number.NEGATIVE_INFINITY
  #cancel: (() => void) | undefined
  #stopped = false
  #localGenerations = 0

  constructor(options: RevocationServiceOptions) {
    this.#options = options
    const tag = `{${options.prefix}:revocations}`
    this.#keys = { sequence: `${tag}:s`, generation: `${tag}:g`, log: `${tag}:z`, nodes: `${tag}:n` }
    this.#inTouchGauge = options.meter.gauge({
      name: 'revocations_in_touch',
      help: '1 while this node follows the mesh-wide revocations.',
    })()
    this.#inTouchGauge.set(options.link === undefined ? 1 : 0)
  }

  /** Follows the log in the background. */
  async start(): Promise<void> {
    if (this.#options.link !== undefined) await this.#poll()
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }

  /** Whether every revocation that was acknowledged some seconds ago is known here. */
  inTouch(): boolean {
    const { link, clock } = this.#options
    return link === undefined || clock.monotonic() - this.#lastSync < OUT_OF_TOUCH_MS
  }

  /** The oldest verdict that may be served now, in milliseconds. */
  maxAgeMs(): number {
    return this.inTouch() ? Number.POSITIVE_INFINITY : this.#options.partitionMaxAgeMs
  }

  /**
   * Revokes, and waits until every live node has confirmed or a few seconds are over.
   * @throws IntermixError REDIS_UNAVAILABLE where the log is out of reach: nothing was revoked.
   */
  async revoke(target: RevocationTarget): Promise<RevocationReceipt> {
    const { link, revocations, nodeId, partitionMaxAgeMs } = this.#options
    if (link === undefined) {
      const sequence = revocations.epoch.sequence + 1
      revocations.apply({ sequence, target })
      return { sequence, confirmed: [nodeId], unconfirmed: [], boundMs: 0 }
    }
    const { sequence, generation, log } = this.#keys
    const appended = await link.run((client) =>
      APPEND.run(client, [sequence, generation, log], [JSON.stringify(target), this.#newGeneration(), KEPT_RECORDS]),
    )
    await this.#sync()
    const nodes = await this.#awaitNodes(link, appended)
    return { sequence: appended.sequence, ...nodes, boundMs: OUT_OF_TOUCH_MS + partitionMaxAgeMs }
  }

  async #awaitNodes(
    link: RedisLink,
    wanted: { readonly generation: string; readonly sequence: number },
  ): Promise<{ confirmed: string[]; unconfirmed: string[] }> {
    const { clock } = this.#options
    const giveUpAt = clock.monotonic() + CONFIRM_PATIENCE_MS
    for (;;) {
      const nodes = await link.run((client) => client.hgetall(this.#keys.nodes)).catch(() => undefined)
      const confirmed: string[] = []
      const unconfirmed: string[] = []
      for (const [node, text] of Object.entries(nodes ?? {})) {
        const [, generation, sequence] = text.split(' ')
        const applied = generation === wanted.generation && Number(sequence) >= wanted.sequence
        ;(applied ? confirmed : unconfirmed).push(node)
      }
      if ((nodes !== undefined && unconfirmed.length === 0) || clock.monotonic() >= giveUpAt)
        return { confirmed, unconfirmed }
      await new Promise<void>((resolve) => clock.after(POLL_MS / 5, resolve))
    }
  }

  async #poll(): Promise<void> {
    try {
      // Having applied something new, tell so at once: somebody may wait for it.
      if (await this.#sync()) await this.#sync()
    } catch {
      // The link counts and logs its failures; until it is back the age of what is served is bounded.
    }
    this.#inTouchGauge.set(this.inTouch() ? 1 : 0)
    if (this.#stopped) return
    this.#cancel = this.#options.clock.after(POLL_MS, () => void this.#poll())
  }

  /** One exchange with the log; true when it brought something. */
  async #sync(): Promise<boolean> {
    const { link, revocations, clock, nodeId } = this.#options
    if (link === undefined) return false
    const sentAt = clock.monotonic()
    const { sequence, generation, log, nodes } = this.#keys
    const known = revocations.epoch
    const args = [nodeId, known.generation, known.sequence, this.#newGeneration(), FORGET_NODE_MS]
    const reply = await link.run((client) => SYNC.run(client, [sequence, generation, log, nodes], args))
    const changed = this.#apply(reply)
    this.#lastSync = Math.max(this.#lastSync, sentAt)
    return changed
  }

  #apply(reply: SyncReply): boolean {
    const { revocations, log } = this.#options
    let known = revocations.epoch
    const anew = known.generation !== reply.generation
    if (anew) {
      revocations.restart(reply.generation, 0)
      known = revocations.epoch
    }
    // Records between what this node knows and what is kept are lost: it cannot know what they revoked.
    if (reply.firstKept > known.sequence + 1) revocations.revokeBelow(reply.firstKept - 1)
    for (const record of reply.records) {
      const space = record.indexOf(' ')
      const target = parseTarget(record.slice(space + 1))
      if (target === undefined) log.warn({ record }, 'revocation not understood: everything is revoked instead')
      revocations.apply({ sequence: Number(record.slice(0, space)), target: target ?? { kind: 'all' } })
    }
    if (revocations.epoch.sequence < reply.sequence) revocations.revokeBelow(reply.sequence)
    return anew || reply.records.length > 0
  }

  #newGeneration(): string {
    const { clock, nodeId } = this.#options
    return `${nodeId}-${clock.now()}-${++this.#localGenerations}`
  }
}

function parseTarget(text: string): RevocationTarget | undefined {
  try {
    return readTarget(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** Reads a target from outside. @throws IntermixError INVALID_REQUEST that says what is allowed. */
export function readTarget(value: unknown): RevocationTarget {
  const { kind, handler, name, key, value: wanted } = (value ?? {}) as Record<string, unknown>
  if (kind === 'all') return { kind }
  if (kind === 'handler' && typeof handler === 'string' && handler !== '') return { kind, handler }
  if (kind === 'attribute' && typeof name === 'string' && name !== '' && typeof wanted === 'string') {
    return { kind, name, key: typeof key === 'string' ? key : undefined, value: wanted }
  }
  throw new IntermixError(
    'INVALID_REQUEST',
    'a revocation is {"kind":"all"}, {"kind":"handler","handler":"name.handler.namespace"} or ' +
      '{"kind":"attribute","name":"source.principal","value":"…"} (with "key" for one key of a map attribute)',
  )
}
