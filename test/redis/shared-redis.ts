// One Redis for all tests of a file, and a link to it.

import { afterAll, beforeEach } from 'vitest'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { type TestLink, testLink, untilUp } from './support.ts'

export interface SharedRedisOptions {
  readonly commandTimeoutMs: number
  readonly role?: 'cache' | 'queue'
  /** Whether each test finds it empty. */
  readonly emptied?: boolean
}

/** To be awaited at the top of a file: it is up from then on until the file's last test has ended. */
export async function sharedRedis(options: SharedRedisOptions): Promise<TestLink & { readonly redis: RedisServer }> {
  const { commandTimeoutMs, role, emptied = false } = options
  const redis = await startRedis()
  const connected = testLink(redis.url, commandTimeoutMs, role)
  const { link } = connected
  afterAll(async () => {
    link.close()
    await redis.stop()
  })
  if (emptied) beforeEach(async () => void (await link.run((client) => client.flushdb())))
  await untilUp(link)
  return { ...connected, redis }
}
