// What one turn of the event loop asks of Redis leaves together.

import { Redis } from 'ioredis'
import { expect, it, onTestFinished } from 'vitest'
import type { RedisLink } from '../../src/redis/connection.ts'
import { startRedis } from '../helpers/redis.ts'
import { startMasters } from './cluster.ts'
import { testLink, untilUp } from './support.ts'

/** Counts the writes to the socket of a connection from now on. */
function countWrites({ stream }: Redis): () => number {
  let writes = 0
  for (const name of ['_write', '_writev'] as const) {
    const write = stream[name] as ((...parameters: unknown[]) => void) | undefined
    Object.assign(stream, {
      [name](...parameters: unknown[]) {
        writes++
        write?.apply(stream, parameters)
      },
    })
  }
  return () => writes
}

async function openLink(url: string): Promise<RedisLink> {
  const { link } = testLink(url, 5_000, 'cache')
  onTestFinished(() => link.close())
  await untilUp(link)
  return link
}

it('sends what one turn of the event loop asks in one write, and answers each', async () => {
  const redis = await startRedis()
  onTestFinished(() => redis.stop())
  const link = await openLink(redis.url)
  await link.run((client) => client.set('key', 'value'))
  const { client } = link
  if (!(client instanceof Redis)) throw new Error('no single server')
  const writes = countWrites(client)
  const answers = await Promise.all(Array.from({ length: 100 }, () => link.run((each) => each.get('key'))))
  expect(new Set(answers)).toEqual(new Set(['value']))
  expect(writes()).toBe(1)
})

it('does so with each master of a cluster', async () => {
  const masters = await startMasters(3)
  onTestFinished(async () => void (await Promise.all(masters.map((master) => master.stop()))))
  const link = await openLink(`redis+cluster://127.0.0.1:${masters[0]?.port}`)
  const { client } = link
  if (client instanceof Redis) throw new Error('no cluster')
  const keys = Array.from({ length: 90 }, (_, i) => `key-${i}`)
  // Connections to masters are made when they are first needed.
  for (const key of keys) await link.run((each) => each.set(key, key))
  const writes = client.nodes('master').map(countWrites)
  expect(writes).toHaveLength(3)
  expect(await Promise.all(keys.map((key) => link.run((each) => each.get(key))))).toEqual(keys)
  expect(writes.map((count) => count())).toEqual([1, 1, 1])
})
