// Bounds an envoy.service.auth.v3.CheckRequest before it is decoded: a map of 200 000 headers costs a second to build.

import { RefusedRequest } from '../kernel/refused-request.ts'
import type { RequestLimits } from '../kernel/request-limits.ts'
import { BYTES, WireReader } from './mixer/wire-reader.ts'

/** What a field number leads to: a message with fields of interest, entries of a map, or the body, which is no attribute. */
type Inside = ReadonlyMap<number, Inside> | 'entry' | 'body'

const PEER: Inside = new Map([[3, 'entry']])
const HEADER_MAP: Inside = new Map([[1, 'entry']])
const HTTP: Inside = new Map<number, Inside>([
  [3, 'entry'],
  [11, 'body'],
  [12, 'body'],
  [13, HEADER_MAP],
])
const REQUEST: Inside = new Map([[2, HTTP]])
const CONTEXT: Inside = new Map<number, Inside>([
  [1, PEER],
  [2, PEER],
  [4, REQUEST],
  [10, 'entry'],
])
const MESSAGE: ReadonlyMap<number, Inside> = new Map([[1, CONTEXT]])

/** The shortest map entry is a tag and a length. */
const MIN_ENTRY_BYTES = 2

/**
 * @throws RefusedRequest `too-large`; IntermixError INVALID_REQUEST where the bytes are no message
 */
export function refuseLargeCheck(message: Uint8Array, limits: RequestLimits): void {
  const { maxMapEntries, maxAttributeBytes } = limits
  if (message.length <= maxAttributeBytes && message.length < maxMapEntries * MIN_ENTRY_BYTES) return
  const size = { entries: 0, bodyBytes: 0 }
  measure(new WireReader(message), MESSAGE, size, maxMapEntries)
  if (message.length - size.bodyBytes > maxAttributeBytes) {
    const text = `the attributes have more than ${maxAttributeBytes} bytes; send fewer`
    throw new RefusedRequest('too-large', text, 'raise --max-attribute-bytes')
  }
}

function measure(
  reader: WireReader,
  fields: ReadonlyMap<number, Inside>,
  size: { entries: number; bodyBytes: number },
  maxMapEntries: number,
): void {
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    const inside = (tag & 7) === BYTES ? fields.get(tag >>> 3) : undefined
    if (inside === undefined) {
      reader.skip(tag)
      continue
    }
    const end = reader.enter()
    if (inside === 'body') size.bodyBytes += end - reader.pos
    else if (inside !== 'entry') {
      const outer = reader.end
      reader.end = end
      measure(reader, inside, size, maxMapEntries)
      reader.end = outer
    } else if (++size.entries > maxMapEntries) {
      const text = `more than ${maxMapEntries} map entries, headers among them; send fewer`
      throw new RefusedRequest('too-large', text, 'raise --max-map-entries')
    }
    reader.pos = end
  }
}
