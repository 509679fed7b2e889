// Fuzz targets of the HTTP/2 transport: what any peer can send before it is known who it is.

import { HpackDecoder } from '../../src/wire/http2/hpack/decoder.ts'
import { HpackEncoder } from '../../src/wire/http2/hpack/encoder.ts'
import { type Field, FIELD_OVERHEAD, HpackError } from '../../src/wire/http2/hpack/hpack-error.ts'
import { huffmanEncode } from '../wire/http2/hpack/huffman-encode.ts'
import { FRAMES_TARGET } from './frames-target.ts'
import { hostileBytes } from './mutate.ts'
import { SESSION_TARGET } from './session-target.ts'
import { Refused, type Target } from './target.ts'

const LIMITS = { maxTableBytes: 4096, maxListBytes: 16_384 }
const REQUEST: readonly Field[] = [
  [':method', 'POST'],
  [':path', '/envoy.service.auth.v3.Authorization/Check'],
  ['content-type', 'application/grpc'],
  ['grpc-timeout', '1999m'],
  ['authorization', 'Bearer s3cret'],
]

function literal(first: number, text: string): Buffer {
  const coded = huffmanEncode(Buffer.from(text))
  return Buffer.concat([Buffer.from([first, 0x80 | coded.length]), coded])
}

function hpackSeeds(): Buffer[] {
  const encoder = new HpackEncoder()
  const first = encoder.encode(REQUEST)
  const second = encoder.encode(REQUEST)
  encoder.peerTableBytes(100)
  const resized = encoder.encode(REQUEST)
  return [first, second, resized, Buffer.concat([literal(0x44, '/a.B/C'), literal(0x04, '/a.B/C'), second])]
}

/** A block decoded twice behind one that fills the table: it means something else the second time, where it changes the table. */
function decodeBehindRequest(block: Uint8Array): void {
  const decoder = new HpackDecoder(LIMITS)
  const primer = new HpackEncoder().encode(REQUEST)
  try {
    for (const each of [primer, block, block]) {
      let listBytes = 0
      const result = decoder.decode(each, 0, each.length, {
        field(name, value) {
          if (typeof name !== 'string' || typeof value !== 'string') throw new TypeError('a field without a string')
          listBytes += name.length + value.length + FIELD_OVERHEAD
        },
      })
      if (listBytes > LIMITS.maxListBytes) throw new TypeError('a list beyond its bound')
      if (result === 'ok' && each === primer && listBytes === 0) throw new TypeError('no fields')
    }
  } catch (error) {
    if (error instanceof HpackError) throw new Refused()
    throw error
  }
}

const HPACK_SEEDS = hpackSeeds()

export const HTTP2_TARGETS: readonly Target[] = [
  {
    name: 'hpack',
    generate: (random) => hostileBytes(HPACK_SEEDS, random),
    run: (input) => decodeBehindRequest(Buffer.from(input)),
  },
  FRAMES_TARGET,
  SESSION_TARGET,
]
