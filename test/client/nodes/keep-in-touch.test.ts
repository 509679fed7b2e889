// How a pool keeps hearing nodes although it asks them nothing: time is the test's, sockets are real.

import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NodePool } from '../../../src/client/nodes/node-pool.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { dependencies } from '../../server/fixtures.ts'
import { createGrpcServer } from '../../server/transport.ts'
import { servedCalmly } from './served-calmly.ts'

describe('a pool that nothing is asked of', () => {
  const ends: (() => unknown)[] = []
  let clock: FakeClock
  let pool: NodePool

  beforeEach(() => {
    clock = new FakeClock()
    pool = new NodePool({ clock, random: () => 0.5, connectTimeoutMs: 1_000, caller: 'sidecar-1' })
    ends.push(() => pool[Symbol.dispose]())
  })

  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  const member = (port: number) => ({ id: `127.0.0.1:${port}`, address: { host: '127.0.0.1', port } })

  it('comes to nodes that are away at longer and longer intervals, a few seconds at most', async () => {
    let connections = 0
    const away = createServer((socket) => {
      connections++
      socket.on('error', () => undefined)
      socket.destroy()
    })
    away.listen(0, '127.0.0.1')
    await once(away, 'listening')
    ends.push(() => away.close())
    pool.setMembers([member((away.address() as AddressInfo).port)])
    const restsForMs = () => pool.view()[0]?.restsForMs ?? 0
    const pauses: number[] = []
    for (let i = 0; i < 9; i++) {
      await expect.poll(restsForMs).toBeGreaterThan(0)
      const before = [clock.monotonic(), connections] as const
      // What it waits for is only the clock: the connection is lost when the node rests again.
      while (connections === before[1] && clock.monotonic() < before[0] + 10_000) {
        await clock.advance(50)
        if (restsForMs() === 0) await turns()
      }
      pauses.push(clock.monotonic() - before[0])
    }
    expect(connections).toBe(10)
    expect(pauses[0]).toBeLessThanOrEqual(600)
    expect(Math.min(...pauses.slice(6))).toBeGreaterThanOrEqual(3_000)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(6_000)
  })

  it('leaves no timer behind when it ends, whatever its nodes have said', async () => {
    const server = createGrpcServer(servedCalmly(dependencies()))
    ends.push(() => server.drain(0))
    pool.setMembers([member(await server.listen({ host: '127.0.0.1', port: 0 }))])
    await turns()
    server.retire()
    await expect.poll(() => pool.view()[0]?.isLeaving).toBe(true)
    pool[Symbol.dispose]()
    expect(clock.pending).toBe(0)
  })
})

/** Time for sockets. */
async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => void setImmediate(resolve))
}
