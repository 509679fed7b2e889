// Reads envoy.service.rate_limit_quota.v3.RateLimitQuotaUsageReports from its bytes.

import { isUtf8 } from 'node:buffer'
import { fromBinary } from '@bufbuild/protobuf'
import { IntermixError } from '../kernel/errors.ts'
import type { BucketId, BucketUsage } from '../kernel/quota-buckets.ts'
import {
  type RateLimitQuotaUsageReports_BucketQuotaUsage as WireUsage,
  RateLimitQuotaUsageReports_BucketQuotaUsageSchema,
} from './generated/envoy/service/rate_limit_quota/v3/rlqs_pb.ts'
import { BYTES, WireReader } from './wire-reader.ts'

/** Buckets of one report. */
const MAX_USAGES = 10_000
/** Of one bucket, its names and values included. */
const MAX_USAGE_BYTES = 8_192
/** Tags of fields, of a report and of a usage down to the values of its bucket: bucket_id, bucket, value. */
const DOMAIN = (1 << 3) + BYTES
const USAGE = (2 << 3) + BYTES
const VALUE = [(1 << 3) + BYTES, (1 << 3) + BYTES, (2 << 3) + BYTES]
const QUESTION_MARK = 0x3f

export interface UsageReports {
  /** Empty where the message does not say. */
  readonly domain: string
  readonly usages: readonly BucketUsage[]
  /** Usages that were passed over: of buckets that are too large, and of more buckets than one report may have. */
  readonly passedOver: { readonly tooLarge: number; readonly tooMany: number }
}

/**
 * Clients choose what buckets are made of: none of theirs keeps the usage of the others from being counted.
 * @throws IntermixError INVALID_REQUEST for bytes that are no such message, and numbers that mean nothing
 */
export function readUsageReports(bytes: Uint8Array): UsageReports {
  const reader = new WireReader(bytes)
  const usages: BucketUsage[] = []
  let domain = ''
  let tooLarge = 0
  let tooMany = 0
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === DOMAIN) {
      const place = reader.text(tag)
      const end = reader.pos
      domain = reader.textAt(place)
      reader.pos = end
    } else if (tag === USAGE) {
      const end = reader.enter()
      if (end - reader.pos > MAX_USAGE_BYTES) tooLarge++
      else if (usages.length === MAX_USAGES) tooMany++
      else usages.push(usageOf(decoded(reader.bytes.subarray(reader.pos, end))))
      reader.pos = end
    } else reader.skip(tag)
  }
  return { domain, usages, passedOver: { tooLarge, tooMany } }
}

function decoded(bytes: Uint8Array): WireUsage {
  try {
    return decode(bytes)
  } catch {
    try {
      return decode(withText(bytes))
    } catch (error) {
      throw new IntermixError('INVALID_REQUEST', 'malformed RateLimitQuotaUsageReports', { cause: error })
    }
  }
}

function decode(bytes: Uint8Array): WireUsage {
  return fromBinary(RateLimitQuotaUsageReports_BucketQuotaUsageSchema, bytes, { readUnknownFields: false })
}

/** The same usage with question marks in values of its bucket that are no UTF-8, as headers of clients may be. */
function withText(bytes: Uint8Array): Uint8Array {
  const reader = new WireReader(Buffer.from(bytes))
  const within = ([field = 0, ...below]: readonly number[]): void => {
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag !== field) reader.skip(tag)
      else if (below.length > 0) {
        const outer = reader.openField(tag)
        within(below)
        reader.close(outer)
      } else {
        const end = reader.enter()
        maskUnreadable(reader.bytes.subarray(reader.pos, end))
        reader.pos = end
      }
    }
  }
  within(VALUE)
  return reader.bytes
}

function maskUnreadable(text: Uint8Array): void {
  if (isUtf8(text)) return
  for (let at = 0; at < text.length; at++) if (Number(text[at]) > 0x7f) text[at] = QUESTION_MARK
}

function usageOf({ bucketId, timeElapsed, numRequestsAllowed, numRequestsDenied }: WireUsage): BucketUsage {
  const elapsedMs = timeElapsed === undefined ? 0 : Number(timeElapsed.seconds) * 1_000 + timeElapsed.nanos / 1e6
  return {
    bucket: bucketOf(bucketId?.bucket ?? {}),
    elapsedMs: Math.max(0, elapsedMs),
    allowed: count(numRequestsAllowed, 'num_requests_allowed'),
    denied: count(numRequestsDenied, 'num_requests_denied'),
  }
}

/** By name, so that the order in which a proxy writes them tells nothing apart. */
function bucketOf(pairs: Readonly<Record<string, string>>): BucketId {
  const entries = Object.entries(pairs).map(([key, value]) => ({ key, value }))
  return entries.sort((one, other) => (one.key < other.key ? -1 : 1))
}

function count(value: bigint, field: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER))
    throw new IntermixError('INVALID_REQUEST', `${field} must be at most ${Number.MAX_SAFE_INTEGER}`)
  return Number(value)
}
