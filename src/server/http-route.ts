// What a route of the HTTP server is given, and what it hands back.

import type { FastifyInstance } from 'fastify'
import type { QuotaService } from '../kernel/services.ts'
import type { DoorDependencies } from './door-dependencies.ts'

/** Adds routes to the server, in a scope of their own. */
export type Route = (app: FastifyInstance) => void

export interface HttpDoorDependencies extends DoorDependencies {
  /** Charges quotas without a check. */
  readonly quotas: QuotaService
}

/** The server has chosen the bounds. */
export type RouteDependencies = HttpDoorDependencies & Required<Pick<DoorDependencies, 'limits'>>
