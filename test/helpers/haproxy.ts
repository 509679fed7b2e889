// A real HAProxy with the recipe that the project ships: a Lua action that asks a node.
import { fileURLToPath } from 'node:url'
import { type ConfiguredServer, startConfiguredServer } from './configured-server.ts'
import type { ForwardAuthOptions } from './nginx.ts'
import { freePort } from './ports.ts'

const FOLDER = fileURLToPath(new URL('../../deploy/haproxy', import.meta.url))

/** Starts HAProxy between a client and the upstream; it asks the node before each request. */
export async function startHaproxy(options: ForwardAuthOptions): Promise<ConfiguredServer> {
  return await startConfiguredServer({
    binary: options.binary,
    template: `${FOLDER}/haproxy.cfg`,
    replacements: {
      'bind :8000': 'bind 127.0.0.1:PORT',
      '127.0.0.1:8181': `127.0.0.1:${await freePort()}`,
      'intermix:8080': `127.0.0.1:${options.nodePort}`,
      'upstream:8080': `127.0.0.1:${options.upstreamPort}`,
      '/usr/local/etc/haproxy': FOLDER,
    },
    args: (config) => ['-db', '-f', config],
  })
}
