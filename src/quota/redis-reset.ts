// Forgets counters in Redis.

import type { CounterChoice } from '../adapter-kit/limits.ts'
import type { RedisLink } from '../redis/connection.ts'
import { keysLike, unlinkAll } from '../redis/scan.ts'
import { keyOf } from './charge-script.ts'

/**
 * Unlinks counters. All of a name are looked for among all keys of the Redis. What proxies hold for now (`Claims`) stays: they go
 * on to spend it, so it must not be given to others.
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
  const { startingWith } = choice
  let count = 0
  for await (const keys of keysLike(link, `${literal(prefix)}{*}:${literal(startingWith)}*`))
    count += await unlinkAll(
      link,
      keys.filter((key) => key.startsWith(startingWith, afterTag(key, prefix))),
    )
  return count
}

/** Where the counter's own name begins: what looks like the end of a tag may also be part of that name. */
function afterTag(key: string, prefix: string): number {
  return key.indexOf('}:', prefix.length) + 2
}

function literal(text: string): string {
  return text.replaceAll(/[*?[\]\\]/g, String.raw`\$&`)
}
