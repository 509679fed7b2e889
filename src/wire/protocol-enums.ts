// Enumerations of the protocols that a sidecar speaks, as numbers. The modules that are generated from the protocols' files have
// them, too, and bring the protobuf runtime: 20 MB of memory. test/wire/protocol-enums.test.ts compares the two.

/** envoy.config.core.v3.HeaderValueOption.HeaderAppendAction */
export const AppendAction = { APPEND_IF_EXISTS_OR_ADD: 0, OVERWRITE_IF_EXISTS_OR_ADD: 2 } as const
export type AppendAction = (typeof AppendAction)[keyof typeof AppendAction]

/** envoy.config.core.v3.RequestMethod by number; the first is unspecified. */
export const REQUEST_METHODS = [
  undefined,
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
] as const

/** envoy.data.accesslog.v3.AccessLogType, as far as Mixer has a word for it. */
export const AccessLogType = {
  TcpUpstreamConnected: 1,
  TcpPeriodic: 2,
  TcpConnectionEnd: 3,
  DownstreamStart: 4,
  DownstreamPeriodic: 5,
  DownstreamEnd: 6,
  TcpConnectionStart: 14,
} as const

/** envoy.service.ratelimit.v3.RateLimitResponse.Code */
export const RateLimitCode = { OK: 1, OVER_LIMIT: 2 } as const
export type RateLimitCode = (typeof RateLimitCode)[keyof typeof RateLimitCode]

/** istio.mixer.v1.HeaderOperation.Operation */
export const MixerHeaderOperation = { REPLACE: 0, REMOVE: 1, APPEND: 2 } as const

/** istio.mixer.v1.ReferencedAttributes.Condition */
export const MixerCondition = { ABSENCE: 1, EXACT: 2, REGEX: 3 } as const

/** grpc.health.v1.HealthCheckResponse.ServingStatus */
export const ServingStatus = { SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } as const
export type ServingStatus = (typeof ServingStatus)[keyof typeof ServingStatus]
