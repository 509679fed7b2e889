// Whatever pieces a network cuts a conversation into, the answers are the same.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameReader } from '../../../src/server/http2/frame-reader.ts'
import { frame } from '../../helpers/http2/frames.ts'

interface Read {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: string
}

describe('reading frames', () => {
  it('gives the same frames for any pieces', () => {
    const one = fc.record({
      type: fc.nat(255),
      flags: fc.nat(255),
      stream: fc.nat(0x7fff_ffff),
      payload: fc.oneof(
        fc.uint8Array({ maxLength: 20 }),
        fc.nat(16_384).map((length) => new Uint8Array(length).fill(length)),
      ),
    })
    const cuts = fc.array(fc.oneof(fc.nat(3), fc.nat(20), fc.nat(20_000)), { maxLength: 200 })
    fc.assert(
      fc.property(fc.array(one, { maxLength: 12 }), cuts, fc.nat(30), (sent, sizes, before) => {
        const bytes = Buffer.concat([
          Buffer.alloc(before, 0xee),
          ...sent.map(({ payload, ...head }) => frame(head.type, { ...head, payload: Buffer.from(payload) })),
        ])
        const read: Read[] = []
        const reader = new FrameReader({
          frame(type, flags, stream, piece, start, end) {
            read.push({ type, flags, stream, payload: piece.toString('latin1', start, end) })
          },
        })
        let at = 0
        for (const size of [...sizes, bytes.length]) {
          // Pieces are the socket's own: what is kept of one must not change with the next.
          const piece = Buffer.from(bytes.subarray(at, at + size + (at === 0 ? before : 0)))
          reader.read(piece, at === 0 ? Math.min(before, piece.length) : 0)
          at += piece.length
          expect(reader.within).toBe(isWithin(sent, at - before))
          piece.fill(0x55)
        }
        expect(read).toEqual(
          sent.map(({ type, flags, stream, payload }) => ({
            type,
            flags,
            stream,
            payload: Buffer.from(payload).toString('latin1'),
          })),
        )
      }),
    )
  })
})

/** Whether so many octets end in the midst of a frame. */
function isWithin(sent: readonly { readonly payload: Uint8Array }[], octets: number): boolean {
  let left = octets
  for (const { payload } of sent) {
    if (left <= 0) return false
    left -= 9 + payload.length
    if (left < 0) return true
  }
  return false
}
