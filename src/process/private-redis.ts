// Without a word on Redis, `all` starts a private one where the machine has the program, and goes without elsewhere.

import type { Clock, Logger } from '../kernel/ports.ts'
import type { Settings } from '../settings/settings.ts'
import type { EmbeddedRedis } from './embedded-redis.ts'

interface RedisHost {
  readonly searchPath: string
  readonly clock: Clock
}

/** @returns `undefined` where there is none or none is wanted. `expected` tells whether its end is. */
export async function startPrivateRedis(
  { role, redisGiven }: Settings,
  { searchPath, clock }: RedisHost,
  log: Logger,
  expected: () => boolean,
): Promise<EmbeddedRedis | undefined> {
  if (role !== 'all' || redisGiven) return undefined
  const { startEmbeddedRedis } = await import('./embedded-redis.ts')
  const redis = await startEmbeddedRedis({ path: searchPath, clock }).catch((error: unknown) => {
    log.warn({ err: error }, 'a redis-server was found and did not start')
    return undefined
  })
  void redis?.ended.then(() => {
    if (!expected()) log.warn({ port: redis.port }, 'the private Redis has ended; going on without it')
  })
  return redis
}

export function withPrivateRedis(settings: Settings, redis: EmbeddedRedis | undefined): Settings {
  return redis === undefined
    ? settings
    : { ...settings, cacheRedis: { url: redis.url }, queueRedis: { url: redis.url }, redisIsPrivate: true }
}
