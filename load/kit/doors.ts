// The doors that the driver can ask at: by which protocol, with which request, and how their answers are read.

import { Code } from '../../src/kernel/status.ts'
import { BYTES, VARINT, WireReader } from '../../src/wire/wire-reader.ts'
import type { BatchTemplate } from './batch-template.ts'
import type { Ended } from './connection.ts'
import type { RequestTemplate } from './request-template.ts'
import { bareRequests, meshRequests } from './requests.ts'

interface DoorBasis {
  readonly path: string
  /** Whether answers are the oracle's, so that wrong ones are known. */
  readonly judged: boolean
}

/** Any door of gRPC with one message either way. */
export interface GrpcDoor extends DoorBasis {
  readonly protocol: 'grpc'
  request(kind: RequestKind): RequestTemplate
  /** What an answer says; `bytes` may be cut off behind what is needed. */
  decision(bytes: Buffer, start: number, end: number): Ended
}

export interface HttpDoor extends DoorBasis {
  readonly protocol: 'http'
  request(kind: RequestKind): RequestTemplate
}

/** The stream of batches that our own sidecars use. */
export interface BatchDoor extends DoorBasis {
  readonly protocol: 'batch'
  template(kind: RequestKind): BatchTemplate
}

/** `mesh`: 30 attributes and 13 headers, as proxies send them; `bare`: no more than the rules read. */
export type RequestKind = 'mesh' | 'bare'

const requests = { mesh: meshRequests, bare: bareRequests }

const RATE_LIMIT = {
  protocol: 'grpc',
  path: '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit',
  judged: false,
  // RateLimitResponse.overall_code: OK is 1, OVER_LIMIT 2
  decision: (bytes, start, end) => (numberAt(bytes, start, end, [1]) === 2 ? 'deny' : 'allow'),
} as const satisfies Omit<GrpcDoor, 'request'>

export const DOORS = {
  http: { protocol: 'http', path: '/v1/check', judged: true, request: (kind) => requests[kind].http() },
  mixer: {
    protocol: 'grpc',
    path: '/istio.mixer.v1.Mixer/Check',
    judged: true,
    request: (kind) => requests[kind].mixer(),
    // CheckResponse.precondition.status.code
    decision: (bytes, start, end) => decisionOfCode(numberAt(bytes, start, end, [2, 1, 1])),
  },
  ext_authz: {
    protocol: 'grpc',
    path: '/envoy.service.auth.v3.Authorization/Check',
    judged: true,
    request: (kind) => requests[kind].extAuthz(),
    // CheckResponse.status.code
    decision: (bytes, start, end) => decisionOfCode(numberAt(bytes, start, end, [1, 1])),
  },
  rls: { ...RATE_LIMIT, request: (kind) => requests[kind].rateLimit() },
  // With three descriptors.
  rls3: { ...RATE_LIMIT, request: (kind) => requests[kind].rateLimits() },
  batch: {
    protocol: 'batch',
    path: '/intermix.v1.Batches/Check',
    judged: true,
    template: (kind) => requests[kind].batch(),
  },
  // What Envoy would ask ext_authz, over the stream.
  envoy_batch: {
    protocol: 'batch',
    path: '/intermix.v1.Batches/Check',
    judged: true,
    template: (kind) => requests[kind].envoyBatch(),
  },
} as const satisfies Readonly<Record<string, GrpcDoor | HttpDoor | BatchDoor>>

export type DoorName = keyof typeof DOORS
export const DOOR_NAMES = Object.keys(DOORS) as readonly DoorName[]

/** What a google.rpc.Code in an answer means: only a denial in earnest is one. */
export function decisionOfCode(code: number): Ended {
  if (code === Code.OK) return 'allow'
  return code === Code.PERMISSION_DENIED ? 'deny' : 'failed'
}

/** The number in the field that a path of field numbers leads to; 0, as in protobuf, where it is not set. */
function numberAt(bytes: Buffer, start: number, end: number, path: readonly number[]): number {
  const reader = new WireReader(bytes, start, end)
  for (const [depth, field] of path.entries()) {
    const last = depth === path.length - 1
    const wanted = field * 8 + (last ? VARINT : BYTES)
    let tag = reader.tag()
    for (; tag !== wanted; tag = reader.tag()) {
      if (tag === 0) return 0
      reader.skip(tag)
    }
    if (last) return reader.varint32()
    const length = reader.varint32()
    reader.end = Math.min(reader.end, reader.pos + length)
  }
  return 0
}
