// A Redis that refuses a client says so and hangs up, before ioredis has sent its first command; of that, ioredis tells no
// more than that a write failed.

import { Redis } from 'ioredis'
import type { RedisClient } from './create-client.ts'

const MAX_LENGTH = 500
const MINUS = 0x2d

/**
 * Calls back, when a connection has ended before it could be used, with the error line that Redis sent first on it, such
 * as that of protected mode. Listeners to `close` that are added later hear of it afterwards.
 */
export function onRefusal(client: RedisClient, listener: (line: string) => void): void {
  if (!(client instanceof Redis)) return
  let line: string | undefined
  client.on('connect', () => {
    line = undefined
    client.stream.once('data', (chunk: Buffer) => {
      line = refusalIn(chunk)
    })
  })
  client.on('ready', () => {
    line = undefined
  })
  client.on('close', () => {
    if (line !== undefined) listener(line)
    line = undefined
  })
}

/** The error that a chunk begins with. */
export function refusalIn(chunk: Buffer): string | undefined {
  return chunk[0] === MINUS ? chunk.toString('utf8', 1, MAX_LENGTH).split('\r\n')[0] : undefined
}
