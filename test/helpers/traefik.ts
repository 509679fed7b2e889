// A real Traefik with the forwardAuth recipe that the project ships.
import { fileURLToPath } from 'node:url'
import { vi } from 'vitest'
import { type ConfiguredServer, startConfiguredServer } from './configured-server.ts'
import type { ForwardAuthOptions } from './nginx.ts'

const FOLDER = fileURLToPath(new URL('../../deploy/traefik', import.meta.url))

/** Starts Traefik between a client and the upstream; it asks the node before each request. */
export async function startTraefik(options: ForwardAuthOptions): Promise<ConfiguredServer> {
  const server = await startConfiguredServer({
    binary: options.binary,
    template: `${FOLDER}/traefik.yaml`,
    replacements: { ':8000': '127.0.0.1:PORT', '/etc/traefik/routes.yaml': 'DIRECTORY/routes.yaml' },
    beside: {
      'routes.yaml': {
        template: `${FOLDER}/routes.yaml`,
        replacements: {
          'intermix:8080': `127.0.0.1:${options.nodePort}`,
          'upstream:8080': `127.0.0.1:${options.upstreamPort}`,
        },
      },
    },
    args: (config) => [`--configfile=${config}`],
  })
  // It listens before it has read its routes, and knows no path then.
  const knowsRoutes = async () => {
    if ((await fetch(server.url)).status === 404) throw new Error('Traefik has no routes')
  }
  await vi.waitFor(knowsRoutes, { timeout: 10_000, interval: 20 })
  return server
}
