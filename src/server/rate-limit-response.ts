// From an answer to Envoy's rate limit service, envoy.service.ratelimit.v3.RateLimitResponse.

import { type DescriptorStatus, RATE_UNITS, type RateLimitAnswer, type RateLimitDemand } from '../kernel/rate-limit.ts'
import { RateLimitCode as Code } from '../wire/protocol-enums.ts'
import { WireWriter } from '../wire/wire-writer.ts'
import { writeRateLimitMetadata } from './rate-limit-metadata.ts'

/** Which headers tell of the limit that is nearest: none, `X-RateLimit-…`, or `RateLimit-…` as envoyproxy/ratelimit has them. */
export type RateLimitHeaders = 'none' | 'x-ratelimit' | 'ratelimit'

const PREFIX: Readonly<Record<RateLimitHeaders, string>> = {
  none: '',
  'x-ratelimit': 'X-RateLimit-',
  ratelimit: 'RateLimit-',
}

const writer = new WireWriter()

/** No code in it is UNKNOWN. With what was asked it has dynamic metadata. */
export function encodeRateLimitResponse(
  answer: RateLimitAnswer,
  headers: RateLimitHeaders,
  asked?: RateLimitDemand,
): Uint8Array {
  writer.reset()
  writer.int32(1, codeOf(answer))
  for (const status of answer.statuses) writeStatus(status)
  for (const [name, value] of headersOf(answer, headers)) writeHeader(name, value)
  if (asked !== undefined) writeRateLimitMetadata(writer, 6, asked, answer)
  return writer.take()
}

/** Names and values of the headers that tell of the nearest limit. */
function headersOf({ nearest }: RateLimitAnswer, headers: RateLimitHeaders): readonly (readonly [string, string])[] {
  if (headers === 'none' || nearest?.limit === undefined) return []
  const prefix = PREFIX[headers]
  return [
    [`${prefix}Limit`, String(nearest.limit.requestsPerUnit)],
    [`${prefix}Remaining`, String(nearest.remaining)],
    [`${prefix}Reset`, String(nearest.resetSeconds)],
  ]
}

function codeOf({ isOver }: { readonly isOver: boolean }): Code {
  return isOver ? Code.OVER_LIMIT : Code.OK
}

function writeStatus(status: DescriptorStatus): void {
  const opened = writer.open(2)
  writer.int32(1, codeOf(status))
  if (status.limit !== undefined) writeLimit(status.limit)
  writer.uint(3, status.remaining)
  if (status.limit !== undefined) {
    const duration = writer.open(4)
    writer.uint(1, status.resetSeconds)
    writer.close(duration)
  }
  writer.close(opened)
}

function writeLimit({ requestsPerUnit, unit, name }: NonNullable<DescriptorStatus['limit']>): void {
  const opened = writer.open(2)
  writer.uint(1, requestsPerUnit)
  writer.uint(2, unit === undefined ? 0 : RATE_UNITS.indexOf(unit) + 1)
  writer.text(3, name)
  writer.close(opened)
}

function writeHeader(name: string, value: string): void {
  const opened = writer.open(3)
  writer.text(1, name)
  writer.text(2, value)
  writer.close(opened)
}
