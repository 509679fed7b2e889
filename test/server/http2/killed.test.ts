// A node that is killed (-9) has answered a call as a whole or not at all: then a proxy may ask another one. A reply whose headers have
// come without its trailers cannot be asked for again.
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { FrameClient } from '../../helpers/http2/frame-client.ts'
import { Flag, FrameType } from '../../helpers/http2/frames.ts'
import { spawnChild } from '../../helpers/process.ts'
import { atEnd, SAY } from './support.ts'

const SERVER = fileURLToPath(new URL('killed-server.ts', import.meta.url))
const IN_FLIGHT = 32
const MOMENTS = 4

/** What came of each stream: whether it began, and whether it ended. */
function replies({ received }: FrameClient): { begun: Set<number>; ended: Set<number> } {
  const own = received.filter(({ stream, type }) => stream !== 0 && type !== FrameType.WINDOW_UPDATE)
  return {
    begun: new Set(own.map(({ stream }) => stream)),
    ended: new Set(own.filter(({ flags }) => (flags & Flag.END_STREAM) !== 0).map(({ stream }) => stream)),
  }
}

describe('a server that is killed', () => {
  it('tears no reply', async () => {
    let torn = 0
    for (let moment = 0; moment < MOMENTS; moment++) {
      const server = await spawnChild(process.execPath, [SERVER])
      atEnd(() => server.kill())
      const [, port] = await server.waitForOutput(/listening on (\d+)/)
      const client = await FrameClient.open({ port: Number(port) })
      atEnd(() => client.destroy())
      let calls = 0
      const ask = async (): Promise<void> => {
        while (!client.closed) {
          calls++
          await client.response(client.call(SAY, Buffer.alloc(40))).catch(() => undefined)
        }
      }
      const asking = Promise.all(Array.from({ length: IN_FLIGHT }, ask))
      await expect.poll(() => calls, { interval: 1 }).toBeGreaterThan(100 + moment * 37)
      await server.kill()
      await asking
      const { begun, ended } = replies(client)
      expect(ended.size).toBeGreaterThan(50)
      torn += begun.size - ended.size
    }
    expect(torn).toBe(0)
  })
})
