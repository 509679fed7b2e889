// A link to Redis through which the script of quotas runs by a time that a test sets, so that years pass at once.

import { readFileSync } from 'node:fs'
import type { RedisLink } from '../../src/redis/connection.ts'
import type { RedisClient } from '../../src/redis/create-client.ts'

const SOURCE = readFileSync(new URL('../../src/redis/scripts/quota-charge-n.lua', import.meta.url), 'utf8')
const BY_SERVER = "redis.call('TIME')"

/** @param now milliseconds since the epoch */
export function withTime(link: RedisLink, now: () => number): RedisLink {
  if (!SOURCE.includes(BY_SERVER)) throw new Error('the script of quotas reads its time in another way')
  const run: RedisLink['run'] = (operation, timeoutMs) =>
    link.run((client) => {
      const ms = now()
      const source = SOURCE.replace(BY_SERVER, `{ ${Math.floor(ms / 1000)}, ${(ms % 1000) * 1000} }`)
      const timed = {
        evalsha: (_sha: string, count: number, ...rest: (string | number)[]) => client.eval(source, count, ...rest),
      }
      return operation(timed as unknown as RedisClient)
    }, timeoutMs)
  return Object.assign(Object.create(link) as RedisLink, { run })
}
