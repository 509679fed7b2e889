import { Redis } from 'ioredis'
import { afterEach, describe, expect, it } from 'vitest'
import { accepts } from './process.ts'
import { type RedisServer, startRedis } from './redis.ts'

let server: RedisServer | undefined
afterEach(async () => {
  await server?.stop()
  server = undefined
})

async function ping(url: string): Promise<string> {
  const client = new Redis(url, { maxRetriesPerRequest: 0, retryStrategy: () => null, commandTimeout: 300 })
  client.on('error', () => undefined)
  try {
    return await client.ping()
  } finally {
    client.disconnect()
  }
}

describe('the Redis of a test', () => {
  it('answers, is silent while paused, answers again', async () => {
    server = await startRedis()
    expect(await ping(server.url)).toBe('PONG')
    server.pause()
    await expect(ping(server.url)).rejects.toThrow()
    server.resume()
    expect(await ping(server.url)).toBe('PONG')
  })

  it('refuses after a kill and comes back on the same port, as another process', async () => {
    server = await startRedis({ args: ['--maxmemory', '8mb'] })
    const before = server.pid
    await server.kill()
    expect(await accepts(server.port)).toBe(false)
    await server.restart()
    expect(await ping(server.url)).toBe('PONG')
    expect(server.pid).not.toBe(before)
  })

  it('is gone after stop, even when it was paused', async () => {
    server = await startRedis()
    server.pause()
    await server.stop()
    expect(await accepts(server.port)).toBe(false)
  })
})
