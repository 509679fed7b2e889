// What a route of the HTTP server is given, and what it hands back.

import type { FastifyInstance } from 'fastify'
import type { DoorDependencies } from './door-dependencies.ts'

/** Adds routes to the server, in a scope of their own. */
export type Route = (app: FastifyInstance) => void

/** The server has chosen the bounds. */
export type RouteDependencies = DoorDependencies & Required<Pick<DoorDependencies, 'limits'>>
