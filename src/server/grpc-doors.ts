// The list of gRPC front doors: every host serves these, and health beside them.

import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import type { RequestLimits } from '../kernel/request-limits.ts'
import type { CheckService, ReportService } from '../kernel/services.ts'
import { accessLogService } from './access-log.ts'
import type { Admission } from './admission.ts'
import { extAuthzService } from './ext-authz.ts'
import { healthService } from './grpc-health.ts'
import type { GrpcService } from './grpc-service.ts'
import { mixerService } from './mixer-v1.ts'

/** What doors are built from. */
export interface GrpcDoorDependencies {
  readonly check: CheckService
  readonly report: ReportService
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  /** Tells streams when to give way. */
  readonly admission: Pick<Admission, 'overloaded'>
  /** Name of this node, the first part of report batches' ids. */
  readonly nodeId: string
  /** How long a check may take whose caller sets no deadline, in ms. */
  readonly defaultTimeoutMs: number
  /** Bounds of one request's attributes. */
  readonly limits?: RequestLimits
}

export type GrpcDoor = (given: GrpcDoorDependencies) => GrpcService

/** External authorization, access logs and Mixer. */
export const GRPC_DOORS: readonly GrpcDoor[] = [extAuthzService, accessLogService, mixerService]

/** The services of these doors, and health, which answers for all of them. */
export function grpcServices(given: GrpcDoorDependencies, doors: readonly GrpcDoor[] = GRPC_DOORS): GrpcService[] {
  const services = doors.map((door) => door(given))
  return [healthService(services.map(({ name }) => name)), ...services]
}
