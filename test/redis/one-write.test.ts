// What one turn of the event loop asks of Redis leaves together.

import { createServer, type AddressInfo, connect } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { startRedis } from '../helpers/redis.ts'
import { testLink, untilUp } from './support.ts'

it('sends what one turn of the event loop asks in one piece, and answers each', async () => {
  const redis = await startRedis()
  const { hostname, port } = new URL(redis.url)
  let pieces = 0
  const proxy = createServer((client) => {
    const server = connect(Number(port), hostname)
    client.on('data', (data) => {
      pieces++
      server.write(data)
    })
    server.pipe(client)
    for (const socket of [client, server])
      socket.on('error', () => socket.destroy()).on('close', () => client.destroy())
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const { link } = testLink(`redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`, 5_000, 'cache')
  onTestFinished(async () => {
    link.close()
    proxy.close()
    await redis.stop()
  })
  await untilUp(link)
  await link.run((client) => client.set('key', 'value'))
  pieces = 0
  const answers = await Promise.all(Array.from({ length: 100 }, () => link.run((client) => client.get('key'))))
  expect(new Set(answers)).toEqual(new Set(['value']))
  // One write may come in two.
  expect(pieces).toBeLessThanOrEqual(2)
})
