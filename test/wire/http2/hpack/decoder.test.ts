import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HpackDecoder } from '../../../../src/wire/http2/hpack/decoder.ts'
import { HpackError } from '../../../../src/wire/http2/hpack/hpack-error.ts'
import { decodeAll } from './collect.ts'

const LIMITS = { maxTableBytes: 4096, maxListBytes: 16_384 }

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex')
}

function literal(name: string, value: string, first = 0x40): Buffer {
  return Buffer.concat([
    Buffer.from([first, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ])
}

describe('malformed header blocks', () => {
  it.each([
    ['index 0', '80'],
    ['an index behind the tables', 'be'],
    ['an index far behind the tables', 'ff80 80ff 07'],
    ['a name index behind the tables', '7f00 0161'],
    ['an integer that is cut off', 'ff'],
    ['an integer that is cut off later', 'ff80 8080'],
    ['an integer of more than 28 bits', 'ffff ffff ff7f'],
    ['an integer of endless zeros', 'ff80 8080 8080 8080 8080 00'],
    ['a length beyond the block', '0004 6162'],
    ['a huge length', '007f ffff ff7f 61'],
    ['a literal without a value', '0001 61'],
    ['a literal without a name', '40'],
    ['a size above the announced one', '3fe2 1f'],
    ['a size update behind a field', '82 20'],
    ['a size update at the end', '8220'],
    ['EOS in a Huffman-coded string', '0085 ffff ffff ff00'],
  ])('%s', (_, block) => {
    expect(() => decodeAll(new HpackDecoder(LIMITS), hex(block))).toThrow(HpackError)
  })

  it('reads nothing beyond the end that it is given', () => {
    const block = hex('8286 0361')
    expect(() => new HpackDecoder(LIMITS).decode(block, 0, 3, { field: () => {} })).toThrow(/cut off/)
    expect(() => new HpackDecoder(LIMITS).decode(hex('82ff'), 0, 1, { field: () => {} })).not.toThrow()
  })

  it('ends every random block with fields or an HpackError, at any offset', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(8), (bytes, before) => {
        const decoder = new HpackDecoder(LIMITS)
        const padded = Buffer.concat([Buffer.alloc(before, 0xff), bytes, Buffer.alloc(8, 0x82)])
        try {
          decoder.decode(padded, before, before + bytes.length, {
            field: (name, value) => expect([typeof name, typeof value]).toEqual(['string', 'string']),
          })
        } catch (error) {
          expect(error).toBeInstanceOf(HpackError)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('the dynamic table', () => {
  it('takes size updates at the beginning of a block', () => {
    const decoder = new HpackDecoder(LIMITS)
    decodeAll(decoder, literal('a', '1'))
    expect(decodeAll(decoder, hex('be'))).toEqual([['a', '1']])
    expect(decodeAll(decoder, hex('20 3fe11f 82'))).toEqual([[':method', 'GET']])
    expect(() => decodeAll(decoder, hex('be'))).toThrow(/no field has index 62/)
  })

  it('is emptied by a field that is larger, which is still a field', () => {
    const decoder = new HpackDecoder(LIMITS)
    decodeAll(decoder, Buffer.concat([hex('3f04'), literal('a', '1')]))
    const large = 'x'.repeat(40)
    expect(decodeAll(decoder, literal('b', large))).toEqual([['b', large]])
    expect(() => decodeAll(decoder, hex('be'))).toThrow(HpackError)
  })

  it('takes the name of an entry that the new field pushes out', () => {
    const decoder = new HpackDecoder(LIMITS)
    // 35 octets: room for one entry.
    decodeAll(decoder, Buffer.concat([hex('3f04'), literal('a', '1')]))
    expect(decodeAll(decoder, hex('7e 0132 be'))).toEqual([
      ['a', '2'],
      ['a', '2'],
    ])
  })

  it('changes its version exactly with its contents', () => {
    const decoder = new HpackDecoder(LIMITS)
    const versionAfter = (block: Buffer) => {
      decodeAll(decoder, block)
      return decoder.version
    }
    const first = versionAfter(literal('a', '1'))
    expect(versionAfter(hex('82be'))).toBe(first)
    expect(versionAfter(literal('b', '2', 0x00))).toBe(first)
    expect(versionAfter(literal('b', '2', 0x10))).toBe(first)
    expect(versionAfter(literal('b', '2'))).not.toBe(first)
    const second = decoder.version
    expect(versionAfter(hex('3fe11f'))).not.toBe(second)
  })

  it('gives the strings that it holds, and makes none', () => {
    const decoder = new HpackDecoder(LIMITS)
    const name = 'n'.repeat(30)
    decodeAll(decoder, literal(name, 'v'.repeat(30)))
    const heapOf = () => {
      const before = process.memoryUsage().heapUsed
      const block = Buffer.alloc(1000, 0xbe)
      let fields = 0
      new Array(100).fill(0).forEach(() => decoder.decode(block, 0, 100, { field: () => fields++ }))
      expect(fields).toBe(10_000)
      return process.memoryUsage().heapUsed - before
    }
    heapOf()
    // Strings of thirty characters would be 400 KB and more.
    expect(heapOf()).toBeLessThan(200_000)
  })
})

describe('the bound of a header list', () => {
  const sink = () => {
    const fields: string[] = []
    return { fields, field: (name: string, value: string) => void fields.push(`${name}=${value}`) }
  }

  it('counts names, values and 32 for each field', () => {
    const decoder = new HpackDecoder({ maxTableBytes: 4096, maxListBytes: 2 * 34 })
    const block = (count: number) => Buffer.concat(new Array<Buffer>(count).fill(literal('a', '1', 0)))
    const exact = sink()
    expect(decoder.decode(block(2), 0, 10, exact)).toBe('ok')
    expect(exact.fields).toHaveLength(2)
    const over = sink()
    expect(decoder.decode(block(3), 0, 15, over)).toBe('too large')
    expect(over.fields).toHaveLength(2)
  })

  it('keeps the dynamic table right behind it', () => {
    const decoder = new HpackDecoder({ maxTableBytes: 4096, maxListBytes: 50 })
    const big = Buffer.concat([literal('big', 'x'.repeat(60)), literal('a', '1')])
    const bomb = sink()
    expect(decoder.decode(big, 0, big.length, bomb)).toBe('too large')
    expect(bomb.fields).toEqual([])
    expect(decodeAll(decoder, hex('be'))).toEqual([['a', '1']])
  })

  it('takes a bomb of references without building its list', () => {
    const decoder = new HpackDecoder(LIMITS)
    const value = 'x'.repeat(4000)
    const entry = Buffer.concat([hex('4001 61 7fa11e'), Buffer.from(value)])
    expect(decodeAll(decoder, entry)).toEqual([['a', value]])
    const bomb = Buffer.alloc(16_000, 0xbe)
    const target = sink()
    expect(decoder.decode(bomb, 0, bomb.length, target)).toBe('too large')
    expect(target.fields.length).toBeLessThanOrEqual(4)
  })

  it('starts anew with each block', () => {
    const decoder = new HpackDecoder({ maxTableBytes: 4096, maxListBytes: 34 })
    const block = literal('a', '1', 0)
    for (let i = 0; i < 3; i++) expect(decoder.decode(block, 0, block.length, sink())).toBe('ok')
  })
})

describe('what no field may hold in HTTP/2', () => {
  const judged = (decoder: HpackDecoder, block: Buffer) => {
    const found: boolean[] = []
    decoder.decode(block, 0, block.length, { field: (_name, _value, malformed) => void found.push(malformed) })
    return found
  }

  it.each([
    ['x-ok', 'some value', false],
    [':path', '/', false],
    ['Upper', '1', true],
    ['a b', '1', true],
    ['a:b', '1', true],
    ['', '1', true],
    ['x', ' 1', true],
    ['x', '1\t', true],
    ['x', 'a\nb', true],
    ['x', 'a\0', true],
    ['x', '', false],
  ])('%j: %j', (name, value, malformed) => {
    const decoder = new HpackDecoder(LIMITS)
    for (const first of [0x00, 0x10, 0x40]) expect(judged(decoder, literal(name, value, first))).toEqual([malformed])
    // The table remembers it, also when it has grown.
    for (let more = 0; more < 40; more++) judged(decoder, literal('x-more', String(more)))
    expect(judged(decoder, Buffer.from([0x80 | (62 + 40)]))).toEqual([malformed])
  })
})
