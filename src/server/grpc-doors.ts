// The list of gRPC front doors: every host serves these, and health beside them.

import { accessLogService } from './access-log.ts'
import type { QuotaService } from '../kernel/services.ts'
import type { Admission } from './admission.ts'
import type { NodeNews } from './caller-news.ts'
import type { DoorDependencies } from './door-dependencies.ts'
import { batchService } from './batch-stream.ts'
import { extAuthzService } from './ext-authz.ts'
import { healthService } from './grpc-health.ts'
import type { GrpcService } from './grpc-service.ts'
import { mixerService } from './mixer-v1.ts'
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

/** What proxies ask of whoever is beside them: external authorization, access logs, Mixer. */
export const PROXY_DOORS: readonly GrpcDoor[] = [extAuthzService, accessLogService, mixerService]

/** Those, and what sidecars ask of nodes: batches of checks, and calls of reports. */
export const GRPC_DOORS: readonly GrpcDoor[] = [...PROXY_DOORS, batchService, reportCallService]

/** The services of these doors, those of rate limits where there are any, further ones, and health, which answers for all of them. */
export function grpcServices(
  given: GrpcDoorDependencies,
  doors: readonly GrpcDoor[] = GRPC_DOORS,
  further: readonly GrpcService[] = [],
): GrpcService[] {
  const services = [...doors.map((door) => door(given)), ...further]
  const { rateLimit } = given
  if (rateLimit !== undefined) services.push(rateLimitService({ ...given, rateLimit }))
  const assignments = rateLimit?.assignments
  if (assignments !== undefined) services.push(rateLimitQuotaService({ ...given, assignments }))
  return [healthService(services.map(({ name }) => name)), ...services]
}
