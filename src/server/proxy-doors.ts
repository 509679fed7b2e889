// The gRPC doors that nodes and sidecars have alike: what proxies ask of whoever is beside them. A sidecar loads no others.

import { accessLogService } from './access-log.ts'
import type { Admission } from './admission.ts'
import type { DoorDependencies } from './door-dependencies.ts'
import { extAuthzService } from './ext-authz.ts'
import { healthService } from './grpc-health.ts'
import type { GrpcService } from './grpc-service.ts'
import { mixerService } from './mixer-v1.ts'

export interface ProxyDoorDependencies extends DoorDependencies {
  /** Tells streams when to give way. */
  readonly admission: Pick<Admission, 'overloaded'>
}

/** External authorization, access logs, Mixer. */
export const PROXY_DOORS: readonly ((given: ProxyDoorDependencies) => GrpcService)[] = [
  extAuthzService,
  accessLogService,
  mixerService,
]

/** Services, and health, which answers for all of them. */
export function withHealth(services: readonly GrpcService[]): GrpcService[] {
  return [healthService(services.map(({ name }) => name)), ...services]
}
