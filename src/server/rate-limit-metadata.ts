// The dynamic metadata of an answer to Envoy's rate limit service, a google.protobuf.Struct with what envoyproxy/ratelimit
// has there: what was asked, and what the config says beside the limits that let the request pass.

import type {
  LimitMetadata,
  MetadataValue,
  RateLimitAnswer,
  RateLimitDemand,
  RateLimitDescriptor,
} from '../kernel/rate-limit.ts'
import type { WireWriter } from '../wire/wire-writer.ts'

/** Fields `domain`, `descriptors`, and where there are such: `hitsAddend` of the request, `metadata` of limits. */
export function writeRateLimitMetadata(
  writer: WireWriter,
  field: number,
  { domain, descriptors, hitsAddend }: RateLimitDemand,
  answer: RateLimitAnswer,
): void {
  const told = new Map<string, MetadataValue>([
    ['domain', domain],
    ['descriptors', descriptors.map(toldOf)],
  ])
  if (hitsAddend !== 0) told.set('hitsAddend', hitsAddend)
  const metadata = passedMetadata(answer)
  if (metadata !== undefined && metadata.size > 0) told.set('metadata', metadata)
  writeStruct(writer, field, told)
}

function toldOf({ entries, limit, hitsAddend }: RateLimitDescriptor): LimitMetadata {
  const told = new Map<string, MetadataValue>([['entries', entries.map(({ key, value }) => `${key}=${value}`)]])
  if (limit !== undefined) told.set('limit', limitText(limit))
  if (hitsAddend !== undefined) told.set('hitsAddend', hitsAddend)
  return told
}

/** As protobuf's text format has it: without a number that is 0. */
function limitText({ requestsPerUnit, unit }: NonNullable<RateLimitDescriptor['limit']>): string {
  const amount = requestsPerUnit === 0 ? [] : [`requests_per_unit:${requestsPerUnit}`]
  return [...amount, ...(unit === undefined ? [] : [`unit:${unit.toUpperCase()}`])].join(' ')
}

/** Of several limits the first one that has a field counts; maps are joined. */
function passedMetadata({ statuses }: RateLimitAnswer): LimitMetadata | undefined {
  let all: LimitMetadata | undefined
  for (const { isOver, limit } of statuses)
    if (!isOver && limit?.metadata !== undefined) all = all === undefined ? limit.metadata : joined(all, limit.metadata)
  return all
}

function joined(first: LimitMetadata, other: LimitMetadata): LimitMetadata {
  const all = new Map(first)
  for (const [key, value] of other) {
    const known = all.get(key)
    if (known === undefined) all.set(key, value)
    else if (isMap(known) && isMap(value)) all.set(key, joined(known, value))
  }
  return all
}

function isMap(value: MetadataValue): value is LimitMetadata {
  return value instanceof Map
}

function writeStruct(writer: WireWriter, field: number, values: LimitMetadata): void {
  const opened = writer.open(field)
  for (const [key, value] of values) {
    const entry = writer.open(1)
    writer.text(1, key)
    writeValue(writer, 2, value)
    writer.close(entry)
  }
  writer.close(opened)
}

/** A google.protobuf.Value: which of its fields is there says what it is. */
function writeValue(writer: WireWriter, field: number, value: MetadataValue): void {
  const opened = writer.open(field)
  if (value === null) writer.sint32(1, 0, true)
  else if (typeof value === 'number') writer.double(2, value)
  else if (typeof value === 'string') writer.text(3, value, true)
  else if (typeof value === 'boolean') writer.bool(4, value, true)
  else if (isMap(value)) writeStruct(writer, 5, value)
  else {
    const list = writer.open(6)
    for (const each of value) writeValue(writer, 1, each)
    writer.close(list)
  }
  writer.close(opened)
}
