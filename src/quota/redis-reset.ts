// Forgets counters in Redis.

import type { CounterChoice } from '../adapter-kit/limits.ts'
import type { RedisLink } from '../redis/connection.ts'
import { keysLike, unlinkAll } from '../redis/scan.ts'
import { keyOf } from './charge-script.ts'

/**
 * Unlinks counters. All of a name are looked for among all keys of the Redis: about a second for a million keys.
 * @returns how many there were
 */
export async function resetInRedis(
  link: Pick<RedisLink, 'run' | 'client'>,
  prefix: string,
  choice: CounterChoice,
): Promise<number> {
  if ('counters' in choice) {
    const keys = choice.counters.map((counter) => keyOf(counter, counter.rule.algorithm, prefix))
    return await unlinkAll(link, keys)
  }
  let count = 0
  for await (const keys of keysLike(link, `${literal(prefix)}{*}:${literal(choice.startingWith)}*`))
    count += await unlinkAll(link, keys)
  return count
}

function literal(text: string): string {
  return text.replaceAll(/[*?[\]\\]/g, String.raw`\$&`)
}
