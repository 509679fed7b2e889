// Reads envoy.service.ratelimit.v3.RateLimitRequest from its bytes.

import {
  type DescriptorEntry,
  RATE_UNITS,
  type RateLimitDemand,
  type RateLimitDescriptor,
} from '../kernel/rate-limit.ts'
import { RefusedRequest } from '../kernel/refused-request.ts'
import type { RequestLimits } from '../kernel/request-limits.ts'
import { VARINT, WireReader } from './wire-reader.ts'

interface Override {
  requestsPerUnit: number
  unit: number
}

/**
 * The last of several values of a field counts, messages that come several times are one, and fields that are not known
 * are passed over, as everywhere in protobuf. Values of entries may be no UTF-8: Envoy takes them from headers as they come, and
 * a call that fails is one that most proxies let pass.
 * @throws IntermixError INVALID_REQUEST for bytes that are no such message; RefusedRequest `too-large`
 */
export function readRateLimitRequest(bytes: Uint8Array, limits: RequestLimits): RateLimitDemand {
  if (bytes.length > limits.maxAttributeBytes)
    throw new RefusedRequest(
      'too-large',
      `the request has more than ${limits.maxAttributeBytes} bytes; send fewer descriptors`,
      'raise --max-attribute-bytes',
    )
  const reader = new WireReader(bytes)
  const descriptors: RateLimitDescriptor[] = []
  let domain = ''
  let hitsAddend = 0
  let entries = 0
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag >>> 3) {
      case 1:
        domain = text(reader, tag)
        break
      case 2: {
        const descriptor = readDescriptor(reader, tag)
        entries += 1 + descriptor.entries.length
        if (entries > limits.maxMapEntries)
          throw new RefusedRequest(
            'too-large',
            `the request has more than ${limits.maxMapEntries} descriptors and entries; send fewer`,
            'raise --max-map-entries',
          )
        descriptors.push(descriptor)
        break
      }
      case 3:
        hitsAddend = uint32(reader, tag)
        break
      default:
        reader.skip(tag)
    }
  }
  return { domain, descriptors, hitsAddend }
}

function readDescriptor(reader: WireReader, field: number): RateLimitDescriptor {
  const outer = reader.openField(field)
  const entries: DescriptorEntry[] = []
  let limit: Override | undefined
  let hitsAddend: number | undefined
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag >>> 3) {
      case 1:
        entries.push(readEntry(reader, tag))
        break
      case 2:
        limit = readOverride(reader, tag, limit ?? { requestsPerUnit: 0, unit: 0 })
        break
      case 3:
        hitsAddend = readAddend(reader, tag, hitsAddend ?? 0)
        break
      default:
        reader.skip(tag)
    }
  }
  reader.close(outer)
  return {
    entries,
    ...(limit === undefined
      ? {}
      : { limit: { requestsPerUnit: limit.requestsPerUnit, unit: RATE_UNITS[limit.unit - 1] } }),
    ...(hitsAddend === undefined ? {} : { hitsAddend }),
  }
}

function readEntry(reader: WireReader, field: number): DescriptorEntry {
  const outer = reader.openField(field)
  let key = ''
  let value = ''
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag >>> 3 === 1) key = text(reader, tag)
    else if (tag >>> 3 === 2) value = reader.clientText(tag)
    else reader.skip(tag)
  }
  reader.close(outer)
  return { key, value }
}

function readOverride(reader: WireReader, field: number, override: Override): Override {
  const outer = reader.openField(field)
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag >>> 3 === 1) override.requestsPerUnit = uint32(reader, tag)
    else if (tag >>> 3 === 2) override.unit = uint32(reader, tag)
    else reader.skip(tag)
  }
  reader.close(outer)
  return override
}

/** A google.protobuf.UInt64Value. */
function readAddend(reader: WireReader, field: number, before: number): number {
  const outer = reader.openField(field)
  let addend = before
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag >>> 3 !== 1) reader.skip(tag)
    else {
      reader.expect(tag, VARINT)
      addend = Number(BigInt.asUintN(64, reader.int64()))
    }
  }
  reader.close(outer)
  return Math.min(addend, Number.MAX_SAFE_INTEGER)
}

function text(reader: WireReader, tag: number): string {
  const place = reader.text(tag)
  const end = reader.pos
  const read = reader.textAt(place)
  reader.pos = end
  return read
}

function uint32(reader: WireReader, tag: number): number {
  reader.expect(tag, VARINT)
  return reader.varint32() >>> 0
}
