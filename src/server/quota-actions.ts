// From assignments to envoy.service.rate_limit_quota.v3.RateLimitQuotaResponse, as Envoy 1.40 takes it.

import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import type { BucketAction, BucketId, Strategy } from '../kernel/quota-buckets.ts'
import { UNIT_SECONDS } from '../kernel/rate-limit.ts'
import {
  type RateLimitQuotaResponse_BucketActionSchema as ActionSchema,
  RateLimitQuotaResponseSchema,
} from '../wire/generated/envoy/service/rate_limit_quota/v3/rlqs_pb.ts'
import {
  RateLimitStrategy_BlanketRule as BlanketRule,
  type RateLimitStrategySchema,
} from '../wire/generated/envoy/type/v3/ratelimit_strategy_pb.ts'

type WireAction = MessageInitShape<typeof ActionSchema>
type WireStrategy = MessageInitShape<typeof RateLimitStrategySchema>

export function encodeQuotaActions(actions: readonly BucketAction[]): Uint8Array {
  const bucketAction = actions.flatMap(wireActions)
  return toBinary(RateLimitQuotaResponseSchema, create(RateLimitQuotaResponseSchema, { bucketAction }))
}

/**
 * A proxy that gets another token bucket fills it as much as the one before was filled. To begin anew with a full one it is
 * told to deny first, in the same message: actions are applied in order, and no request is judged between them.
 */
function wireActions(action: BucketAction): WireAction[] {
  const { bucket } = action
  if (action.kind === 'abandon') return [{ bucketId: idOf(bucket), bucketAction: { case: 'abandonAction', value: {} } }]
  const { strategy, ttlSeconds } = action
  const assigned = assign(bucket, strategyOf(strategy), ttlSeconds)
  return strategy.kind === 'requests' && strategy.isNew ? [assign(bucket, DENY, ttlSeconds), assigned] : [assigned]
}

const DENY: WireStrategy = { strategy: { case: 'blanketRule', value: BlanketRule.DENY_ALL } }
const ALLOW: WireStrategy = { strategy: { case: 'blanketRule', value: BlanketRule.ALLOW_ALL } }

function strategyOf(strategy: Strategy): WireStrategy {
  switch (strategy.kind) {
    case 'allow':
      return ALLOW
    case 'deny':
      return DENY
    case 'rate':
      return tokens(strategy.perSecond, strategy.perSecond, 1)
    case 'requests':
      // Buckets have to be refilled: this one as slowly as Envoy can.
      return tokens(strategy.requests, 1, UNIT_SECONDS.year)
  }
}

function tokens(maxTokens: number, perFill: number, fillSeconds: number): WireStrategy {
  const fillInterval = { seconds: BigInt(fillSeconds) }
  return { strategy: { case: 'tokenBucket', value: { maxTokens, tokensPerFill: perFill, fillInterval } } }
}

function assign(bucket: BucketId, rateLimitStrategy: WireStrategy, ttlSeconds: number): WireAction {
  const assignmentTimeToLive = { seconds: BigInt(ttlSeconds) }
  return {
    bucketId: idOf(bucket),
    bucketAction: { case: 'quotaAssignmentAction', value: { assignmentTimeToLive, rateLimitStrategy } },
  }
}

function idOf(bucket: BucketId): { bucket: Record<string, string> } {
  return { bucket: Object.fromEntries(bucket.map(({ key, value }) => [key, value])) }
}
