// Gathers what decoders give.
import type { HpackDecoder } from '../../../../src/wire/http2/hpack/decoder.ts'
import type { Field } from '../../../../src/wire/http2/hpack/hpack-error.ts'

/** The fields of a block. */
export function decodeAll(decoder: HpackDecoder, block: Uint8Array): Field[] {
  const fields: Field[] = []
  decoder.decode(block, 0, block.length, { field: (name, value) => void fields.push([name, value]) })
  return fields
}
