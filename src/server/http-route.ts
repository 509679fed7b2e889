// What a route of the HTTP server is given, and what it hands back.

import type { FastifyInstance } from 'fastify'
import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import type { RequestLimits } from '../kernel/request-limits.ts'
import type { CheckService, ReportService } from '../kernel/services.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Largest body of a route, where that is less than the server's. */
    readonly maxBytes?: number
    /** Refuses bodies in which an object has a name twice. */
    readonly uniqueNames?: boolean
  }
}

/** Adds routes to the server, in a scope of their own. */
export type Route = (app: FastifyInstance) => void

export interface RouteDependencies {
  readonly check: CheckService
  readonly report: ReportService
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  /** How long a check may take whose caller sets no deadline, in ms. */
  readonly defaultTimeoutMs: number
  /** Name of this node, the first part of report batches' ids. */
  readonly nodeId: string
}

export interface BoundedRouteDependencies extends RouteDependencies {
  readonly limits: RequestLimits
}
