import { describe, expect, it } from 'vitest'
import { decodeCheckRequest } from '../../../src/wire/mixer/check-request.ts'
import { WireWriter } from '../../../src/wire/wire-writer.ts'

/** A check whose attributes come in parts. */
function inParts(...parts: readonly Uint8Array[]): Buffer {
  const writer = new WireWriter()
  for (const part of parts) writer.bytes(1, part, true)
  writer.uint(2, 200)
  return writer.take()
}

describe('a Mixer check', () => {
  it('has one set of attributes, in however many parts they come', () => {
    const parts = [Buffer.from('ab'), Buffer.alloc(0), Buffer.from('c')]
    const { attributes, globalWordCount } = decodeCheckRequest(inParts(...parts))
    expect(Buffer.from(attributes).toString()).toBe('abc')
    expect(globalWordCount).toBe(200)
    expect(decodeCheckRequest(inParts()).attributes).toHaveLength(0)
  })

  it('is refused where they come in so many parts that joining them takes long', () => {
    const parts = Array.from({ length: 102 }, () => Buffer.alloc(0))
    expect(() => decodeCheckRequest(inParts(...parts))).toThrow('one message in more than 100 parts')
  })
})
