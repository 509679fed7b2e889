// What waits for replicas of Redis, where something is promised as replicated.

import type { Clock, Meter, Random } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import { Replication } from '../redis/replication.ts'
import type { Settings } from '../settings/settings.ts'

export interface Replications {
  /** Of the Redis of report queues; `undefined` where there is none. */
  readonly queue: Replication | undefined
  /** Of the Redis that has the log of revocations; `undefined` where they are not promised as replicated. */
  readonly revocations: Replication | undefined
  close(): void
}

export interface ReplicationLinks {
  readonly cacheLink: RedisLink | undefined
  readonly queueLink: RedisLink | undefined
  readonly revocationLink: RedisLink | undefined
}

/** Connects to nothing before there is something to wait for. */
export function createReplications(
  settings: Settings,
  { cacheLink, queueLink, revocationLink }: ReplicationLinks,
  ports: { readonly clock: Clock; readonly random: Random; readonly meter: Meter },
): Replications {
  const { replicas, cacheRedis, queueRedis, revocationRedis, revocationAck } = settings
  const create = (role: 'queue' | 'revocations', link: RedisLink | undefined, access: Settings['queueRedis']) =>
    link && access && new Replication({ ...ports, role, link, access, replicas })
  const queue = create('queue', queueLink, queueRedis)
  // Revocations lie in the queue's Redis, if they have none of their own.
  const apart = () =>
    create('revocations', revocationLink ?? queueLink ?? cacheLink, revocationRedis ?? queueRedis ?? cacheRedis)
  const own = revocationRedis === undefined ? queue : undefined
  const revocations = revocationAck === 'replicated' ? (own ?? apart()) : undefined
  return {
    queue,
    revocations,
    close() {
      queue?.close()
      revocations?.close()
    },
  }
}
