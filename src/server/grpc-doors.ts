// The list of gRPC front doors: every host serves these, and health beside them.

import type { QuotaService } from '../kernel/services.ts'
import type { Admission } from './admission.ts'
import type { NodeNews } from './caller-news.ts'
import type { DoorDependencies } from './door-dependencies.ts'
import { batchService } from './batch-stream.ts'
import type { GrpcService } from './grpc-service.ts'
import { PROXY_DOORS, withHealth } from './proxy-doors.ts'
import { reportCallService } from './report-calls.ts'
import { rateLimitService } from './rate-limit.ts'
import { rateLimitQuotaService } from './rate-limit-quota.ts'

export interface GrpcDoorDependencies extends DoorDependencies {
  /** Tells streams when to give way, and decides about what comes in them. */
  readonly admission: Pick<Admission, 'overloaded' | 'door' | 'checksPerSecond'>
  /** Charges quotas without a check. */
  readonly quotas: QuotaService
  /** What callers of batch streams are told; unset: nothing. */
  readonly news?: NodeNews | undefined
}

export type GrpcDoor = (given: GrpcDoorDependencies) => GrpcService

/** What proxies ask, and what sidecars ask: batches of checks, and calls of reports. */
export const GRPC_DOORS: readonly GrpcDoor[] = [...PROXY_DOORS, batchService, reportCallService]

/** The services of these doors, those of rate limits where there are any, and health, which answers for all of them. */
export function grpcServices(given: GrpcDoorDependencies, doors: readonly GrpcDoor[] = GRPC_DOORS): GrpcService[] {
  const services = doors.map((door) => door(given))
  const { rateLimit } = given
  if (rateLimit !== undefined) services.push(rateLimitService({ ...given, rateLimit }))
  const assignments = rateLimit?.assignments
  if (assignments !== undefined) services.push(rateLimitQuotaService({ ...given, assignments }))
  return withHealth(services)
}
