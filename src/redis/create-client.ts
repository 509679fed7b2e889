// Builds ioredis clients of every topology with settings that fail fast and reconnect for ever.

import { Cluster, Redis } from 'ioredis'
import type { RedisOptions } from 'ioredis'
import type { RedisAccess } from './redis-access.ts'
import { parseRedisUrl } from './redis-url.ts'

/** What all of Redis is spoken to through. */
export type RedisClient = Redis | Cluster

/** Settings that differ from the fail-fast ones; `maxRetriesPerRequest: null` is what BullMQ's workers need. */
export interface ClientOverrides {
  readonly maxRetriesPerRequest?: number | null
  readonly enableOfflineQueue?: boolean
  readonly autoResendUnfulfilledCommands?: boolean
  readonly socketTimeout?: number
  readonly lazyConnect?: boolean
}

const CONNECT_TIMEOUT_MS = 1000
const MAX_RECONNECT_DELAY_MS = 2000

/**
 * A client for a Redis, connecting in the background. The caller listens to `error` and disconnects it.
 * @param random spreads reconnects of many processes.
 * @throws IntermixError INVALID_SETTING for a bad URL.
 */
export function createRedisClient(
  { url }: RedisAccess,
  overrides: ClientOverrides = {},
  random: () => number = Math.random,
): RedisClient {
  const target = parseRedisUrl(url)
  const retryStrategy = (attempt: number) =>
    Math.min(50 * 2 ** Math.min(attempt, 10), MAX_RECONNECT_DELAY_MS) * (0.5 + random() / 2)
  const shared = {
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectTimeout: CONNECT_TIMEOUT_MS,
    ...(target.username === undefined ? {} : { username: target.username }),
    ...(target.password === undefined ? {} : { password: target.password }),
    ...(target.tls ? { tls: {} } : {}),
    ...overrides,
  } satisfies RedisOptions
  const enableOfflineQueue = overrides.enableOfflineQueue ?? false
  if (target.kind === 'cluster') {
    const { lazyConnect: _, ...redisOptions } = shared
    return new Cluster([...target.nodes], {
      clusterRetryStrategy: retryStrategy,
      enableOfflineQueue,
      lazyConnect: overrides.lazyConnect ?? false,
      slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
      redisOptions,
    })
  }
  const common = { ...shared, enableOfflineQueue, retryStrategy, db: target.database }
  if (target.kind === 'sentinel') {
    return new Redis({
      ...common,
      sentinels: [...target.nodes],
      name: target.masterName,
      sentinelRetryStrategy: retryStrategy,
      ...(target.tls ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {}),
    })
  }
  const [node] = target.nodes
  return new Redis({ ...common, host: node.host, port: node.port })
}
