// Builds ioredis clients of every topology with settings that fail fast and reconnect for ever.

import { Cluster, Redis } from 'ioredis'
import type { RedisOptions } from 'ioredis'
import type { RedisAccess } from './redis-access.ts'
import { sentinelConnector, serverConnector } from './connectors.ts'
import { parseRedisUrl, type RedisTarget } from './redis-url.ts'
import { SignIn } from './sign-in.ts'

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
/** A master that was demoted, or stands still, is not waited for when its connections are given up. */
const SENTINEL_DISCONNECT_MS = 100

/**
 * A client for a Redis, connecting in the background. The caller listens to `error` and disconnects it.
 * @param random spreads reconnects of many processes.
 * @throws IntermixError INVALID_SETTING for a bad URL, or a file that cannot be used.
 */
export function createRedisClient(
  access: RedisAccess,
  overrides: ClientOverrides = {},
  random: () => number = Math.random,
): RedisClient {
  const target = parseRedisUrl(access.url)
  const signIn = new SignIn(access)
  const client = create(target, { access, signIn, overrides, random })
  signIn.onProblem = (problem) => client.emit('error', problem)
  return client
}

interface ClientParts {
  readonly access: RedisAccess
  readonly signIn: SignIn
  readonly overrides: ClientOverrides
  readonly random: () => number
}

function create(target: RedisTarget, { access, signIn, overrides, random }: ClientParts): RedisClient {
  const retryStrategy = (attempt: number) =>
    Math.min(50 * 2 ** Math.min(attempt, 10), MAX_RECONNECT_DELAY_MS) * (0.5 + random() / 2)
  const { kind, username, password, tls } = target
  const Connector = kind === 'sentinel' ? sentinelConnector(signIn) : serverConnector(signIn)
  const shared = {
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectTimeout: CONNECT_TIMEOUT_MS,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: signIn.tls } : {}),
    ...(signIn.followsFiles ? { Connector } : {}),
    ...overrides,
  } satisfies RedisOptions
  const enableOfflineQueue = overrides.enableOfflineQueue ?? false
  if (kind === 'cluster') {
    const { lazyConnect: _, ...redisOptions } = shared
    return new Cluster([...target.nodes], {
      clusterRetryStrategy: retryStrategy,
      enableOfflineQueue,
      lazyConnect: overrides.lazyConnect ?? false,
      slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
      // A certificate names hosts: what they are called must not become an address before it is checked.
      ...(tls
        ? { dnsLookup: (host: string, callback: (error: null, host: string) => void) => callback(null, host) }
        : {}),
      redisOptions,
    })
  }
  const common = { ...shared, enableOfflineQueue, retryStrategy, db: target.database }
  if (kind === 'sentinel') {
    const { user } = access.sentinel ?? {}
    return new Redis({
      ...common,
      sentinels: [...target.nodes],
      name: target.masterName,
      sentinelRetryStrategy: retryStrategy,
      sentinelReconnectStrategy: retryStrategy,
      failoverDetector: true,
      disconnectTimeout: SENTINEL_DISCONNECT_MS,
      ...(user === undefined ? {} : { sentinelUsername: user }),
      ...(tls ? { enableTLSForSentinelMode: true, sentinelTLS: signIn.tls } : {}),
    })
  }
  const [node] = target.nodes
  return new Redis({ ...common, host: node.host, port: node.port })
}
