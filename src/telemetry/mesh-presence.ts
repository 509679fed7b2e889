// A process among those that share a Redis: it says what it adds and serves, and sees what the others do.

import type { Clock, Logger, Meter } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import type { Ledger } from './ledger.ts'
import { lookoutKey, type ProcessEntry, ProcessRegistry } from './process-registry.ts'
import { QueueServices, type Services } from './queue-services.ts'
import { ServiceWatch } from './service-watch.ts'

export interface MeshPresenceOptions {
  readonly link: RedisLink
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  /** Of all meshes on that Redis. */
  readonly prefix: string
  readonly mesh: string | undefined
  /** Of this mesh. */
  readonly ledger: Pick<Ledger, 'read'>
  /** What this process is at the moment; `undefined` before it is anything. */
  readonly self: () => Omit<ProcessEntry, 'mesh'> | undefined
  /** Whether this process has to see all others again and again; else one of those that have not does so for them. */
  readonly seesAll: boolean
  /** How often it gives a sign of life, in ms. */
  readonly beatMs?: number
  /** How often it looks at the others, in ms. */
  readonly lookMs?: number
  readonly patienceMs?: number
}

export class MeshPresence {
  readonly watch: ServiceWatch
  readonly #registry: ProcessRegistry
  readonly #services: QueueServices

  constructor(options: MeshPresenceOptions) {
    const { mesh, self, lookMs, prefix, seesAll } = options
    const entry = () => {
      const said = self()
      return said && { ...said, mesh }
    }
    this.#registry = new ProcessRegistry({ ...options, self: entry })
    this.#services = new QueueServices({ ...options, registry: this.#registry })
    this.watch = new ServiceWatch({
      ...options,
      services: this.#services,
      ...(seesAll ? {} : { inTurn: { key: lookoutKey(prefix, mesh), self: () => self()?.id } }),
      ...(lookMs === undefined ? {} : { everyMs: lookMs }),
    })
    this.watch.start()
  }

  /** Who serves what now, or at the latest look where Redis is away. */
  look(): Promise<Services | undefined> {
    return this.#services.look().catch(() => this.watch.last)
  }

  /** Says at once what this process is now. */
  tell(): void {
    this.#registry.tell()
  }

  /** Makes the queue of some report rules known to others, before the first job is added to it. */
  note(rules: string): Promise<void> {
    return this.#registry.note(rules)
  }

  /** Says that this process is gone. */
  async stop(): Promise<void> {
    await Promise.all([this.watch.stop(), this.#registry.close()])
  }
}
