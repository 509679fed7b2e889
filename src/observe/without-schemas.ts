// For servers whose routes have no schemas: bodies are read by code of ours. Fastify would load a compiler of JSON schemas all
// the same, which takes a tenth of what a small process has.

import type { FastifyServerOptions } from 'fastify'
import { IntermixError } from '../kernel/errors.ts'

const refuse = (): never => {
  throw new IntermixError('INTERNAL', 'this server takes no routes with schemas')
}

/** The option of Fastify. A route with a schema makes the start fail. */
export const WITHOUT_SCHEMAS: NonNullable<FastifyServerOptions['schemaController']> = {
  compilersFactory: { buildValidator: refuse, buildSerializer: refuse },
}
