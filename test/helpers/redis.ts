// A real Redis for each test that needs one, with faults on demand: paused, killed and restarted.
import { startRedisContainer } from './redis-container.ts'
import { startLocalRedis } from './redis-local.ts'
import { connectToRedis } from './redis-remote.ts'
import type { RedisServer } from './redis-server.ts'
import { findTool } from './tools.ts'

export type { RedisServer } from './redis-server.ts'

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
