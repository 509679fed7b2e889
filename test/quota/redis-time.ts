// A link to Redis through which the scripts of quotas run by a time that a test sets, so that years pass at once.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { RedisLink } from '../../src/redis/connection.ts'
import type { RedisClient } from '../../src/redis/create-client.ts'

const BY_SERVER = "redis.call('TIME')"
/** The scripts by their hash. */
const SOURCES = new Map(
  ['quota-charge-n', 'quota-charge-windows-n', 'quota-claims-1'].map((name) => {
    const source = readFileSync(new URL(`../../src/redis/scripts/${name}.lua`, import.meta.url), 'utf8')
    if (!source.includes(BY_SERVER)) throw new Error(`the script ${name} reads its time in another way`)
    return [createHash('sha1').update(source).digest('hex'), source]
  }),
)

/** @param now milliseconds since the epoch */
export function withTime(link: RedisLink, now: () => number): RedisLink {
  const run: RedisLink['run'] = (operation, timeoutMs) =>
    link.run((client) => {
      const ms = now()
      const time = `{ ${Math.floor(ms / 1000)}, ${(ms % 1000) * 1000} }`
      const timed = {
        evalsha: (sha: string, count: number, ...rest: (string | number)[]) =>
          client.eval(SOURCES.get(sha)?.replace(BY_SERVER, time) ?? '', count, ...rest),
        zrem: (key: string, ...ids: string[]) => client.zrem(key, ...ids),
      }
      return operation(timed as unknown as RedisClient)
    }, timeoutMs)
  return Object.assign(Object.create(link) as RedisLink, { run })
}
