import { describe, expect, it } from 'vitest'
import { Output } from '../../../src/server/http2/output.ts'
import { createWire } from '../../fuzz/wire.ts'
import { ping } from '../../helpers/http2/frames.ts'

describe('what a connection has to send', () => {
  it('is one write a turn, and one buffer for many turns where the peer takes nothing', () => {
    const { socket, wire } = createWire()
    const output = new Output(socket, { beforeFlush() {}, taken() {} })
    const turns = Array.from({ length: 3_000 }, (_, turn) => ping(String(turn).padStart(8, '0')))
    for (const [turn, frame] of turns.entries()) {
      output.write(frame)
      output.write(frame)
      output.endTurn()
      if (turn === 0) expect(wire.writes).toBe(1)
    }
    // 100 KB: the first turn's, and buffers that are half full at least.
    expect(wire.writes).toBeLessThan(6)
    expect(output.unsent).toBe(3_000 * 2 * 17)
    const received = [wire.take()]
    output.endTurn()
    received.push(wire.take())
    expect(Buffer.concat(received)).toEqual(Buffer.concat(turns.flatMap((frame) => [frame, frame])))
    expect(output.unsent).toBe(0)
  })

  it('goes on by itself when the peer has taken what was before', async () => {
    const { socket, wire } = createWire()
    const output = new Output(socket, { beforeFlush() {}, taken() {} })
    for (const text of ['11111111', '22222222']) {
      output.write(ping(text))
      output.endTurn()
    }
    expect(wire.take()).toEqual(ping('11111111'))
    await new Promise(setImmediate)
    expect(wire.take()).toEqual(ping('22222222'))
  })

  it('asks to stop where much waits, and says when it is taken', () => {
    const { socket, wire } = createWire()
    let taken = 0
    const output = new Output(socket, { beforeFlush() {}, taken: () => taken++ })
    const block = Buffer.alloc(10_000)
    let turns = 0
    for (; !output.full; turns++) {
      output.write(block)
      output.endTurn()
    }
    expect(turns * block.length).toBeGreaterThan(1024 * 1024)
    expect(turns * block.length).toBeLessThan(1.1 * 1024 * 1024)
    wire.take()
    expect(output.full).toBe(false)
    expect(taken).toBeGreaterThan(0)
  })
})
