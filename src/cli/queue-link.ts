// A link of a command to the Redis of the queues.

import { within } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import { redactRedisUrl } from '../kernel/redis-url.ts'
import { createLogger } from '../observe/logger.ts'
import { createMeter } from '../observe/meter.ts'
import { connectRedis, type RedisLink } from '../redis/connection.ts'
import type { RedisAccess } from '../redis/redis-access.ts'
import type { CommandIo } from './io.ts'

const CONNECT_MS = 3000

/**
 * Does some work over a link that is closed afterwards.
 * @throws IntermixError REDIS_UNAVAILABLE where Redis cannot be used within three seconds.
 */
export async function overQueueLink<T>(
  access: RedisAccess,
  { clock, random, err }: Pick<CommandIo, 'clock' | 'random' | 'err'>,
  work: (link: RedisLink) => Promise<T>,
): Promise<T> {
  const log = createLogger({ format: 'pretty', level: 'error', terminal: false, write: (line) => err(line.trimEnd()) })
  const meter = createMeter({ processMetrics: false })
  const link = connectRedis({ access, role: 'queue', clock, random, log, meter })
  try {
    await untilUp(link, access.url, clock)
    return await work(link)
  } finally {
    link.close()
  }
}

async function untilUp(link: RedisLink, url: string, clock: Clock): Promise<void> {
  const up = new Promise<void>((resolve) => {
    link.onUp(resolve)
  })
  await within(clock, CONNECT_MS, up, () => {
    const reason = link.reason()
    const why = reason === undefined ? '' : `: ${reason}`
    throw new IntermixError(
      'REDIS_UNAVAILABLE',
      `Redis at ${redactRedisUrl(url)} cannot be used, for ${CONNECT_MS} ms already${why}`,
    )
  })
}
