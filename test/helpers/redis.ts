// A real Redis for each test that needs one, with faults on demand: paused, killed and restarted.
import { startRedisContainer } from './redis-container.ts'
import { startLocalRedis } from './redis-local.ts'
import { connectToRedis } from './redis-remote.ts'
import { findTool } from './tools.ts'

/** A Redis of the test's own. The port stays the same over `kill` and `restart`; the data does not survive them. */
export interface RedisServer {
  readonly url: string
  /** On 127.0.0.1. */
  readonly port: number
  /** Process id of the server that runs now (another one after a restart); throws where the server is not a local process. */
  readonly pid: number
  /** Ends it and removes what it left; safe twice. */
  stop(): Promise<void>
  /** Connections stay open, nothing answers (SIGSTOP). */
  pause(): void
  /** Ends a pause. */
  resume(): void
  /** Connections break, the port refuses (SIGKILL). */
  kill(): Promise<void>
  /** Starts again on the same port, empty; ends the running one first. */
  restart(): Promise<void>
}

export interface RedisOptions {
  /** Further redis-server arguments, such as `['--maxmemory', '1mb']`. */
  readonly args?: readonly string[]
}

/**
 * Gives a Redis: a database of the one that `REDIS_URL` names (not where `args` are given: its settings are not the
 * test's to change), else a local redis-server, else a container. Faults of the first and the last are made by a proxy.
 */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const args = options.args ?? []
  const url = process.env['REDIS_URL'] ?? ''
  if (url !== '' && args.length === 0) return await connectToRedis(url)
  const binary = findTool('redis-server')
  return binary === undefined ? await startRedisContainer(args) : await startLocalRedis(binary, args)
}
