import { Redis } from 'ioredis'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { type EmbeddedRedis, startEmbeddedRedis } from '../../src/process/embedded-redis.ts'
import { systemClock } from '../../src/kernel/system-clock.ts'
import { accepts, spawnChild } from '../helpers/process.ts'
import { until } from '../redis/support.ts'

const path = process.env['PATH'] ?? ''
const present = (await probe()) !== undefined

async function probe(): Promise<EmbeddedRedis | undefined> {
  const redis = await startEmbeddedRedis({ path, clock: systemClock })
  await redis?.stop()
  return redis
}

async function gone(port: number): Promise<void> {
  await until(async () => !(await accepts(port)), `nothing listens on port ${port}`)
}

describe('the embedded Redis', () => {
  it('is none where the path has no redis-server', async () => {
    expect(await startEmbeddedRedis({ path: '/nonexistent', clock: systemClock })).toBeUndefined()
  })

  it.skipIf(!present)('serves with its password only, without persistence, and ends when stopped', async () => {
    const redis = await startEmbeddedRedis({ path, clock: systemClock })
    if (redis === undefined) throw new Error('no redis-server on the path')
    const client = new Redis(redis.url, { maxRetriesPerRequest: 0 })
    expect(await client.set('a', '1')).toBe('OK')
    expect(await client.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction'])
    expect(await client.config('GET', 'save')).toEqual(['save', ''])
    client.disconnect()
    const stranger = new Redis(redis.port, '127.0.0.1', { maxRetriesPerRequest: 0 })
    stranger.on('error', () => {})
    await expect(stranger.get('a')).rejects.toThrow(/NOAUTH/)
    stranger.disconnect()
    await redis.stop()
    await redis.ended
    await gone(redis.port)
    await redis.stop()
  })

  it.skipIf(!present)('says when it ended by itself', async () => {
    const redis = await startEmbeddedRedis({ path, clock: systemClock })
    if (redis === undefined) throw new Error('no redis-server on the path')
    process.kill(redis.pid, 'SIGKILL')
    await redis.ended
    await redis.stop()
  })

  it.skipIf(!present)('ends when its process is killed without a chance to clean up', async () => {
    const load = (file: string) => JSON.stringify(fileURLToPath(new URL(`../../src/${file}`, import.meta.url)))
    const program = `
      import { startEmbeddedRedis } from ${load('process/embedded-redis.ts')}
      import { systemClock } from ${load('kernel/system-clock.ts')}
      setInterval(() => {}, 1000)
      const redis = await startEmbeddedRedis({ path: process.env.PATH, clock: systemClock })
      console.log('port ' + redis.port)`
    const child = await spawnChild(process.execPath, ['--input-type=module', '-e', program])
    const port = Number((await child.waitForOutput(/port (\d+)/))[1])
    expect(await accepts(port)).toBe(true)
    child.signal('SIGKILL')
    await child.exited
    await gone(port)
  })
})
