// Nodes that can be asked under an address tell each other that they are there, so that each can tell its callers.

import { IntermixError } from '../kernel/errors.ts'
import type { MeshSignatures } from '../kernel/mesh-signatures.ts'
import type { Clock } from '../kernel/ports.ts'
import { departing } from './company.ts'
import type { RedisLink } from './connection.ts'
import { defineScript } from './scripts.ts'
import { RENEW_MS, SignedMembers } from './signed-members.ts'
import { SteadyView } from './steady-view.ts'

export interface MemberBeatsOptions {
  readonly link: RedisLink
  readonly clock: Clock
  readonly prefix: string
  /** `host:port` under which callers reach this node. */
  readonly address: string
  /** Nodes sign their addresses, and tell no others; `undefined`: all that are found are told. */
  readonly signatures?: MeshSignatures | undefined
}

interface Members {
  readonly nodes: readonly string[]
  readonly leaving: readonly string[]
}

interface BeatReply {
  readonly version: string
  /** What the clock of the Redis server said. */
  readonly now: number
  /** `undefined` where nothing has changed. */
  readonly members: Members | undefined
  /** What the nodes have signed, in their order. */
  readonly signed: readonly string[]
}

type Standing = 'stays' | 'goes' | 'gone'

const BEAT_MS = 2_000
/** Beats that are missing until a node is gone. */
const MISSING_BEATS = 3
const MAX_MEMBERS = 10_000

/** In one slot; beside the log of revocations, which lies in the same Redis. */
export function memberKeys(prefix: string): readonly string[] {
  const tag = `{${prefix}:revocations}`
  return [`${tag}:m`, `${tag}:ml`, `${tag}:mv`, `${tag}:ms`]
}

const BEAT = defineScript<BeatReply>({
  name: 'members-beat',
  keys: 4,
  reply(raw) {
    const [version, stamp, nodes, leaving, signed] = Array.isArray(raw) ? (raw as unknown[]) : []
    const now = Number(stamp)
    if (typeof version !== 'string' || !Number.isSafeInteger(now))
      throw new IntermixError('REDIS_UNAVAILABLE', 'unexpected reply of the script of members')
    if (!Array.isArray(nodes) || !Array.isArray(leaving) || !Array.isArray(signed))
      return { version, now, members: undefined, signed: [] }
    return {
      version,
      now,
      members: { nodes: nodes.map(String), leaving: leaving.map(String) },
      signed: signed.map(String),
    }
  },
})

export class MemberBeats {
  readonly #options: MemberBeatsOptions
  readonly #view = new SteadyView()
  readonly #listeners = new Set<() => void>()
  #seen: Members | undefined
  #members: Members | undefined
  #version = ''
  #standing: Standing = 'stays'
  #cancel = () => {}
  readonly #signed: SignedMembers | undefined
  /** How far the clock of the Redis server is ahead of this process's monotonic one. */
  #ahead: number | undefined
  /** When this node has signed last, and read what others have. */
  #signedAt = Number.NEGATIVE_INFINITY

  constructor(options: MemberBeatsOptions) {
    this.#options = options
    this.#signed = options.signatures && new SignedMembers(options.signatures)
  }

  start(): void {
    void this.#beat()
  }

  /** The same object as long as they are the same; those of the last look while Redis is away. */
  members(): Members | undefined {
    return this.#members
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener)
  }

  /** This node goes: callers are to leave it. */
  leave(): void {
    if (this.#standing !== 'stays') return
    this.#standing = 'goes'
    void this.#beat()
  }

  /** This node is gone; where that cannot be told, it is found out. */
  stop(): void {
    if (this.#standing === 'gone') return
    this.#standing = 'gone'
    void this.#beat()
  }

  async #beat(): Promise<void> {
    const { link, clock } = this.#options
    this.#cancel()
    if (this.#standing !== 'gone') this.#cancel = clock.after(BEAT_MS, () => void this.#beat())
    departing(link)
    try {
      // Signatures tell the time of Redis: who does not know it yet asks first, and says where it is then.
      if (this.#signed !== undefined && this.#ahead === undefined) await this.#exchange('looks', '')
      await this.#exchange(this.#standing, this.#signature())
    } catch {
      // The link counts and logs its failures. Those that were there last are taken for there.
    }
  }

  async #exchange(standing: Standing | 'looks', signature: string): Promise<void> {
    const { link, clock, prefix, address } = this.#options
    const isRenewed = signature !== ''
    const version = isRenewed ? '' : this.#version
    const args = [address, standing, MISSING_BEATS * BEAT_MS, MAX_MEMBERS, version, signature]
    const reply = await link.run((client) => BEAT.run(client, memberKeys(prefix), args))
    this.#ahead = reply.now - clock.monotonic()
    if (isRenewed) this.#signedAt = clock.monotonic()
    if (standing === 'looks') return
    this.#version = reply.version
    this.#seen = reply.members ?? this.#seen
    if (reply.members !== undefined) this.#read(reply.members, reply)
    this.#publish(reply.now)
  }

  #read({ nodes }: Members, { signed, now }: BeatReply): void {
    if (this.#signed === undefined) return
    this.#signed.take(nodes, signed, now)
    // Lost with the data of Redis, or taken away.
    const own = nodes.indexOf(this.#options.address)
    if (own >= 0 && signed[own] === '') this.#signedAt = Number.NEGATIVE_INFINITY
  }

  /** What this node signs, now and then; empty for nothing. */
  #signature(): string {
    const { clock, address } = this.#options
    const now = clock.monotonic()
    if (this.#signed === undefined || this.#ahead === undefined || now - this.#signedAt < RENEW_MS) return ''
    return this.#signed.sign(address, this.#ahead + now)
  }

  #publish(now: number): void {
    if (this.#seen === undefined) return
    const seen = this.#signed?.valid(this.#seen.nodes, now) ?? this.#seen.nodes
    const nodes = this.#view.take(seen, this.#options.clock.monotonic())
    const leaving = this.#seen.leaving.filter((address) => this.#signed === undefined || nodes.includes(address)).sort()
    if (this.#members?.nodes.join() === nodes.join() && this.#members.leaving.join() === leaving.join()) return
    this.#members = { nodes, leaving }
    for (const listener of this.#listeners) listener()
  }
}
