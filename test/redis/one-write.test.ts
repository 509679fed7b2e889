// What one turn of the event loop asks of Redis leaves together.

import { Redis } from 'ioredis'
import { expect, it, onTestFinished } from 'vitest'
import { startRedis } from '../helpers/redis.ts'
import { testLink, untilUp } from './support.ts'

it('sends what one turn of the event loop asks in one write, and answers each', async () => {
  const redis = await startRedis()
  const { link } = testLink(redis.url, 5_000, 'cache')
  onTestFinished(async () => {
    link.close()
    await redis.stop()
  })
  await untilUp(link)
  await link.run((client) => client.set('key', 'value'))
  const { client } = link
  if (!(client instanceof Redis)) throw new Error('no single server')
  const { stream } = client
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
  const answers = await Promise.all(Array.from({ length: 100 }, () => link.run((each) => each.get('key'))))
  expect(new Set(answers)).toEqual(new Set(['value']))
  expect(writes).toBe(1)
})
