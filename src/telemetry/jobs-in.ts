// How many jobs a queue holds, asked without opening it.

import type { RedisLink } from '../redis/connection.ts'
import type { QueueNames } from './queue-names.ts'

const LISTS = ['wait', 'active', 'paused'] as const
const SETS = ['delayed', 'prioritized'] as const
const TIMEOUT_MS = 2_000

/** All jobs that wait in a queue or are in work, over so many shards. @throws IntermixError REDIS_UNAVAILABLE */
export async function jobsIn(
  link: RedisLink,
  names: Pick<QueueNames, 'keyPrefix'>,
  queues: readonly string[],
): Promise<number> {
  const bases = queues.map((queue) => `${names.keyPrefix(queue)}:${queue}`)
  const counts = await link.run(
    (client) =>
      Promise.all(
        bases.flatMap((base) => [
          ...LISTS.map((list) => client.llen(`${base}:${list}`)),
          ...SETS.map((set) => client.zcard(`${base}:${set}`)),
        ]),
      ),
    TIMEOUT_MS,
  )
  return counts.reduce((sum, count) => sum + count, 0)
}

/** The numbers of so many shards, from the first one on. */
export function shardNumbers(count: number, from = 0): readonly number[] {
  return Array.from({ length: Math.max(0, count - from) }, (_, i) => from + i)
}
