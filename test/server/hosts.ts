// What the HTTP server's routes are served on: by name and, for tests of both, in turns.
import { fastifyHost } from '../../src/server/fastify-host.ts'
import type { CreateHttpHost } from '../../src/server/http-host.ts'
import { plainHost } from '../../src/server/plain-host.ts'

export const HOSTS: readonly (readonly [name: string, host: CreateHttpHost])[] = [
  ['Fastify', fastifyHost],
  ['Node’s own server', plainHost],
]
