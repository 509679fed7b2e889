// Builds ioredis clients of every topology with settings that fail fast and reconnect for ever.

import type { IntermixError } from '../kernel/errors.ts'
import { Cluster, Redis } from 'ioredis'
import type { RedisOptions } from 'ioredis'
import type { RedisAccess } from './redis-access.ts'
import { sentinelConnector, serverConnector } from './connectors.ts'
import { parseRedisUrl, type RedisTarget } from '../kernel/redis-url.ts'
import { watchMaster } from './sentinel-watch.ts'
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
/** A sentinel that stands still takes connections; the next one is asked then. */
const SENTINEL_ANSWER_MS = 1000
/** A connection that is of no use by then is made anew: answers that never end keep it from timing out. */
const READY_MS = 5000

/**
 * A client for a Redis, connecting in the background. The caller listens to `error` and disconnects it.
 * @param random spreads reconnects of many processes.
 * @param onProblem hears, once for each, of files that cannot be used any more: what they held before is used on.
 * @throws IntermixError INVALID_SETTING for a bad URL, or a file that cannot be used.
 */
export function createRedisClient(
  access: RedisAccess,
  overrides: ClientOverrides = {},
  random: () => number = Math.random,
  onProblem: (problem: IntermixError) => void = () => undefined,
): RedisClient {
  const target = parseRedisUrl(access.url)
  const client = create(target, { access, signIn: new SignIn(access, onProblem), overrides, random })
  if (client instanceof Redis) {
    stayInItsDatabase(client)
    beReadyInTime(client)
  }
  return client
}

function beReadyInTime(client: Redis): void {
  let timer: NodeJS.Timeout | undefined
  client.on('connect', () => {
    clearTimeout(timer)
    timer = setTimeout(() => client.stream.destroy(), READY_MS).unref()
  })
  for (const event of ['ready', 'close', 'end']) client.on(event, () => clearTimeout(timer))
}

/** Where its database cannot be had, ioredis would go on in the one that a connection begins with. */
function stayInItsDatabase(client: Redis): void {
  client.on('error', (error: Error & { readonly command?: { readonly name: string } }) => {
    if (error.command?.name === 'select') client.stream.destroy()
  })
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
  const read = () => signIn.read()
  const shared = {
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectTimeout: CONNECT_TIMEOUT_MS,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: signIn.tls } : {}),
    ...overrides,
  } satisfies RedisOptions
  const own = signIn.followsFiles ? { Connector: serverConnector(() => read().password) } : {}
  const enableOfflineQueue = overrides.enableOfflineQueue ?? false
  if (kind === 'cluster') {
    const { lazyConnect: _, ...nodes } = shared
    return new Cluster([...target.nodes], {
      clusterRetryStrategy: retryStrategy,
      enableOfflineQueue,
      lazyConnect: overrides.lazyConnect ?? false,
      slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
      // A certificate names hosts: what they are called must not become an address before it is checked.
      ...(tls
        ? { dnsLookup: (host: string, callback: (error: null, host: string) => void) => callback(null, host) }
        : {}),
      redisOptions: { ...nodes, ...own },
    })
  }
  const common = { ...shared, enableOfflineQueue, retryStrategy, db: target.database }
  if (kind === 'sentinel') {
    const { user } = access.sentinel ?? {}
    const sentinel = {
      connectTimeout: CONNECT_TIMEOUT_MS,
      retryStrategy,
      ...(user === undefined ? {} : { username: user }),
      ...(tls ? { tls: signIn.tls } : {}),
    }
    const options = { ...sentinel, Connector: serverConnector(() => read().sentinelPassword) }
    const watched = { name: target.masterName, sentinels: target.nodes, options }
    const key = JSON.stringify([target.nodes, target.masterName, access.sentinel, tls, access.tls])
    return new Redis({
      ...common,
      sentinels: [...target.nodes],
      name: target.masterName,
      sentinelRetryStrategy: retryStrategy,
      sentinelCommandTimeout: SENTINEL_ANSWER_MS,
      ...(user === undefined ? {} : { sentinelUsername: user }),
      ...(tls ? { enableTLSForSentinelMode: true, sentinelTLS: signIn.tls } : {}),
      Connector: sentinelConnector(read, (stream) => watchMaster(key, stream, watched)),
    })
  }
  const [node] = target.nodes
  return new Redis({ ...common, ...own, host: node.host, port: node.port })
}
