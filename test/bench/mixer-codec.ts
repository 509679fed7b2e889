// What laziness buys: decoding a typical check and reading five of its thirty attributes, beside the generated codec's
// full decode of the same bytes. Run with: node test/bench/mixer-codec.ts

import { fromBinary } from '@bufbuild/protobuf'
import { do_not_optimize, measure } from 'mitata'
import type { Vocabulary } from '../../src/kernel/attribute-bag.ts'
import { Duration, Timestamp } from '../../src/kernel/time.ts'
import type { StringMap, ValueType } from '../../src/kernel/value.ts'
import { CheckRequestSchema } from '../../src/wire/generated/istio/mixer/v1/mixer_pb.ts'
import { decodeCheckRequest } from '../../src/wire/mixer/check-request.ts'
import { CompressedAttributesBag } from '../../src/wire/mixer/compressed-attributes-bag.ts'
import type { Attributes } from '../wire/mixer/compress.ts'
import { HEADERS, mixerRequest, REQUEST } from './sample-requests.ts'

function typeOf(value: Attributes[string]): ValueType {
  if (typeof value === 'string') return 'STRING'
  if (typeof value === 'bigint') return 'INT64'
  if (typeof value === 'boolean') return 'BOOL'
  if (value instanceof Uint8Array) return 'IP_ADDRESS'
  if (value instanceof Timestamp) return 'TIMESTAMP'
  return value instanceof Duration ? 'DURATION' : 'STRING_MAP'
}

const vocabulary: Vocabulary = new Map(Object.entries(REQUEST).map(([name, value]) => [name, typeOf(value)]))
const bytes = mixerRequest()

function lazily(): void {
  const bag = CompressedAttributesBag.decode(decodeCheckRequest(bytes).attributes, { vocabulary })
  do_not_optimize(bag.get('source.namespace'))
  do_not_optimize(bag.get('destination.service.host'))
  do_not_optimize(bag.get('request.method'))
  do_not_optimize(bag.get('request.path'))
  do_not_optimize((bag.get('request.headers') as StringMap).get('x-request-id'))
}

function fully(): void {
  do_not_optimize(fromBinary(CheckRequestSchema, bytes, { readUnknownFields: false }))
}

const ROUNDS = 8
const lazyTimes: number[] = []
const fullTimes: number[] = []
// Alternating, so that whatever else the machine does meets both.
for (let round = 0; round < ROUNDS; round++) {
  lazyTimes.push((await measure(lazily)).p50 / 1000)
  fullTimes.push((await measure(fully)).p50 / 1000)
}

function median(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0
}

const lazy = median(lazyTimes)
const full = median(fullTimes)
console.log(
  `${Object.keys(REQUEST).length} attributes, ${HEADERS.size} headers, ${bytes.length} bytes; median of ${ROUNDS} rounds`,
)
console.log(`lazy decode and 5 reads: ${lazy.toFixed(2)} µs (fastest round ${Math.min(...lazyTimes).toFixed(2)})`)
console.log(`full generated decode:   ${full.toFixed(2)} µs (fastest round ${Math.min(...fullTimes).toFixed(2)})`)
console.log(`ratio: ${(full / lazy).toFixed(1)}`)
