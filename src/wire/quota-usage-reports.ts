// Reads envoy.service.rate_limit_quota.v3.RateLimitQuotaUsageReports from its bytes.

import { fromBinary } from '@bufbuild/protobuf'
import { IntermixError } from '../kernel/errors.ts'
import type { BucketId, BucketUsage } from '../kernel/quota-buckets.ts'
import { RefusedRequest } from '../kernel/refused-request.ts'
import {
  type RateLimitQuotaUsageReports_BucketQuotaUsage as WireUsage,
  RateLimitQuotaUsageReportsSchema,
} from './generated/envoy/service/rate_limit_quota/v3/rlqs_pb.ts'
import { WireReader } from './wire-reader.ts'

/** Buckets of one report. */
const MAX_USAGES = 10_000
/** Of one bucket, its names and values included. */
const MAX_USAGE_BYTES = 8_192

export interface UsageReports {
  /** Empty where the message does not say. */
  readonly domain: string
  readonly usages: readonly BucketUsage[]
}

/** @throws IntermixError INVALID_REQUEST for bytes that are no such message, numbers that mean nothing, and too many or large buckets */
export function readUsageReports(bytes: Uint8Array): UsageReports {
  assertSize(bytes)
  const { domain, bucketQuotaUsages } = decoded(bytes)
  return { domain, usages: bucketQuotaUsages.map(usageOf) }
}

/** Counts before anything is decoded: decoding is what costs. */
function assertSize(bytes: Uint8Array): void {
  const reader = new WireReader(bytes)
  let usages = 0
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    const from = reader.pos
    reader.skip(tag)
    if (tag >>> 3 !== 2) continue
    if (++usages > MAX_USAGES) throw tooLarge(`the report is of more than ${MAX_USAGES} buckets`)
    if (reader.pos - from > MAX_USAGE_BYTES)
      throw tooLarge(`a bucket of the report has more than ${MAX_USAGE_BYTES} bytes`)
  }
}

function tooLarge(message: string): RefusedRequest {
  return new RefusedRequest('too-large', message, 'let the proxy build fewer buckets, with shorter names and values')
}

function decoded(bytes: Uint8Array) {
  try {
    return fromBinary(RateLimitQuotaUsageReportsSchema, bytes, { readUnknownFields: false })
  } catch (error) {
    throw new IntermixError('INVALID_REQUEST', 'malformed RateLimitQuotaUsageReports', { cause: error })
  }
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
