// The numbers of enumerations are those of the protocols' files.
import { describe, expect, it } from 'vitest'
import {
  HeaderValueOption_HeaderAppendAction,
  RequestMethod,
} from '../../src/wire/generated/envoy/config/core/v3/base_pb.ts'
import { AccessLogType as GeneratedAccessLogType } from '../../src/wire/generated/envoy/data/accesslog/v3/accesslog_pb.ts'
import { RateLimitResponse_Code } from '../../src/wire/generated/envoy/service/ratelimit/v3/rls_pb.ts'
import { HealthCheckResponse_ServingStatus } from '../../src/wire/generated/grpc/health/v1/health_pb.ts'
import {
  HeaderOperation_Operation,
  ReferencedAttributes_Condition,
} from '../../src/wire/generated/istio/mixer/v1/mixer_pb.ts'
import {
  AccessLogType,
  AppendAction,
  MixerCondition,
  MixerHeaderOperation,
  RateLimitCode,
  REQUEST_METHODS,
  ServingStatus,
} from '../../src/wire/protocol-enums.ts'

describe('the enumerations of protocols', () => {
  it.each([
    ['HeaderAppendAction', AppendAction, HeaderValueOption_HeaderAppendAction],
    ['AccessLogType', AccessLogType, GeneratedAccessLogType],
    ['RateLimitResponse.Code', RateLimitCode, RateLimitResponse_Code],
    ['HeaderOperation.Operation', MixerHeaderOperation, HeaderOperation_Operation],
    ['ReferencedAttributes.Condition', MixerCondition, ReferencedAttributes_Condition],
    ['ServingStatus', ServingStatus, HealthCheckResponse_ServingStatus],
  ])('are as in the protocol: %s', (_, ours, generated) => {
    expect(Object.keys(ours)).not.toEqual([])
    expect(generated).toMatchObject(ours)
  })

  it('have all methods of requests', () => {
    const { METHOD_UNSPECIFIED, ...methods } = RequestMethod
    expect(REQUEST_METHODS[METHOD_UNSPECIFIED]).toBeUndefined()
    const found = REQUEST_METHODS.flatMap((name, number) => (name === undefined ? [] : [[name, number]]))
    expect(Object.fromEntries(found)).toEqual(methods)
  })
})
