// What the admin port is served on: by name, for tests of both in turns.
import type { CreateAdminServer } from '../../src/observe/admin-server.ts'
import { createFastifyAdmin } from '../../src/observe/fastify-admin.ts'
import { createPlainAdmin } from '../../src/observe/plain-admin.ts'

export const ADMIN_HOSTS: readonly (readonly [name: string, create: CreateAdminServer])[] = [
  ['Fastify', createFastifyAdmin],
  ['Node’s own server', createPlainAdmin],
]
