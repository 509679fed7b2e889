// Nodes that can be asked under an address tell each other that they are there, so that each can tell its callers.

import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import { departing } from './company.ts'
import type { RedisLink } from './connection.ts'
import { defineScript } from './scripts.ts'
import { SteadyView } from './steady-view.ts'

export interface MemberBeatsOptions {
  readonly link: RedisLink
  readonly clock: Clock
  readonly prefix: string
  /** `host:port` under which callers reach this node. */
  readonly address: string
}

interface Members {
  readonly nodes: readonly string[]
  readonly leaving: readonly string[]
}

interface BeatReply {
  readonly version: string
  /** `undefined` where nothing has changed. */
  readonly members: Members | undefined
}

type Standing = 'stays' | 'goes' | 'gone'

const BEAT_MS = 2_000
/** Beats that are missing until a node is gone. */
const MISSING_BEATS = 3
const MAX_MEMBERS = 10_000

/** In one slot; beside the log of revocations, which lies in the same Redis. */
export function memberKeys(prefix: string): readonly string[] {
  const tag = `{${prefix}:revocations}`
  return [`${tag}:m`, `${tag}:ml`, `${tag}:mv`]
}

const BEAT = defineScript<BeatReply>({
  name: 'members-beat',
  keys: 3,
  reply(raw) {
    const [version, nodes, leaving] = Array.isArray(raw) ? (raw as unknown[]) : []
    if (typeof version !== 'string')
      throw new IntermixError('REDIS_UNAVAILABLE', 'unexpected reply of the script of members')
    if (!Array.isArray(nodes) || !Array.isArray(leaving)) return { version, members: undefined }
    return { version, members: { nodes: nodes.map(String), leaving: leaving.map(String) } }
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

  constructor(options: MemberBeatsOptions) {
    this.#options = options
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
    const { link, clock, prefix, address } = this.#options
    this.#cancel()
    if (this.#standing !== 'gone') this.#cancel = clock.after(BEAT_MS, () => void this.#beat())
    departing(link)
    try {
      const args = [address, this.#standing, MISSING_BEATS * BEAT_MS, MAX_MEMBERS, this.#version]
      const { version, members } = await link.run((client) => BEAT.run(client, memberKeys(prefix), args))
      this.#version = version
      this.#seen = members ?? this.#seen
      this.#publish()
    } catch {
      // The link counts and logs its failures. Those that were there last are taken for there.
    }
  }

  #publish(): void {
    if (this.#seen === undefined) return
    const nodes = this.#view.take(this.#seen.nodes, this.#options.clock.monotonic())
    const leaving = Array.from(this.#seen.leaving).sort()
    if (this.#members?.nodes.join() === nodes.join() && this.#members.leaving.join() === leaving.join()) return
    this.#members = { nodes, leaving }
    for (const listener of this.#listeners) listener()
  }
}
