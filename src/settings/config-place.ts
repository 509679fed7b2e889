// Where the config comes from: a folder, or a Redis whose rollouts are followed.

import { IntermixError } from '../kernel/errors.ts'
import { parseRedisUrl } from '../kernel/redis-url.ts'

const REDIS_URL = /^rediss?(\+[a-z]+)?:\/\//i

/** The URL of the Redis that versions of the config come from; `undefined` for a folder, and for a URL that cannot be read. */
export function followedRedis(config: string | undefined): string | undefined {
  if (config === undefined || !REDIS_URL.test(config)) return undefined
  return problemOf(config) === undefined ? config : undefined
}

/** What is wrong with these settings. */
export function configPlaceProblems({
  config,
  configCache,
}: Readonly<Record<'config' | 'configCache', string | undefined>>): readonly string[] {
  if (config === undefined) return []
  if (REDIS_URL.test(config)) {
    const problem = problemOf(config)
    return problem === undefined ? [] : [`--config: a folder or a Redis URL: ${problem}`]
  }
  return configCache === undefined
    ? []
    : ['--config-cache: keeps versions that come from a Redis (--config redis://HOST); a folder is there anyway']
}

function problemOf(url: string): string | undefined {
  try {
    parseRedisUrl(url)
    return undefined
  } catch (error) {
    return IntermixError.from(error).message
  }
}
