// Messages that come over a stream in pieces.

import fc from 'fast-check'
import { expect, it } from 'vitest'
import { framed, IncomingMessages, RoomForMessages } from '../../../src/client/nodes/grpc-messages.ts'

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const places = [0, ...at.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end))
}

it('finds the same messages however they are cut into pieces', () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 8 })
  fc.assert(
    fc.property(messages, fc.array(fc.nat(), { maxLength: 40 }), (sent, places) => {
      const incoming = new IncomingMessages(400)
      const found: Buffer[] = []
      const pieces = cut(Buffer.concat(sent.map(framed)), places)
      for (const piece of pieces) incoming.read(piece, (message) => found.push(Buffer.from(message)))
      expect(found).toEqual(sent.map((each) => Buffer.from(each)))
    }),
  )
})

it('waits for no message that is too long or compressed', () => {
  const refuse = (bytes: Buffer) => () => new IncomingMessages(10).read(bytes, () => expect.fail('a message was found'))
  expect(refuse(framed(Buffer.alloc(11)).subarray(0, 5))).toThrow('a message of 11 bytes came; 10 are taken')
  expect(refuse(Buffer.from([1, 0, 0, 0, 1, 0]))).toThrow('a compressed message came')
})

it('has bounded room for what has come in part of several messages, and gives it back', () => {
  const room = new RoomForMessages(1_000)
  const streams = Array.from({ length: 20 }, () => new IncomingMessages(400, room))
  const part = framed(Buffer.alloc(300)).subarray(0, 100)
  const nothing = () => undefined
  let taken = 0
  const fill = () => {
    for (const stream of streams) {
      stream.read(part, nothing)
      taken++
    }
  }
  expect(fill).toThrow('messages that have come in part take')
  expect(taken).toBe(10)
  // What ends, and what is complete, leaves room to others.
  const found: number[] = []
  for (const stream of streams.slice(1)) stream.end()
  streams[0]?.read(Buffer.alloc(205), (message) => found.push(message.length))
  expect(found).toEqual([300])
  taken = 0
  expect(fill).toThrow('messages that have come in part take')
  expect(taken).toBe(10)
})
