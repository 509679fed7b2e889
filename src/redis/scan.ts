// Looking for keys among all of a Redis, in steps between which others are served.

import { Cluster } from 'ioredis'
import type { RedisLink } from './connection.ts'

/** Keys that one call looks at: some hundred microseconds of Redis. */
const PAGE = 1_000
const TIMEOUT_MS = 2_000

/** Keys that fit a pattern of `SCAN`, page by page; on a cluster those of all its masters. Some come twice. */
export async function* keysLike(
  link: Pick<RedisLink, 'run' | 'client'>,
  pattern: string,
): AsyncGenerator<readonly string[]> {
  const servers = link.client instanceof Cluster ? link.client.nodes('master') : [link.client]
  for (const server of servers) {
    let cursor = '0'
    do {
      const [next, keys] = await link.run(() => server.scan(cursor, 'MATCH', pattern, 'COUNT', PAGE), TIMEOUT_MS)
      if (keys.length > 0) yield keys
      cursor = next
    } while (cursor !== '0')
  }
}

/** Removes keys, of whichever slots. @returns how many there were */
export async function unlinkAll(link: Pick<RedisLink, 'run'>, keys: readonly string[]): Promise<number> {
  const removed = await link.run((client) => Promise.all(keys.map((key) => client.unlink(key))), TIMEOUT_MS)
  return removed.reduce((sum, count) => sum + count, 0)
}
