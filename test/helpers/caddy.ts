// A real Caddy with the forward_auth recipe that the project ships.
import { fileURLToPath } from 'node:url'
import { type ConfiguredServer, startConfiguredServer } from './configured-server.ts'
import type { ForwardAuthOptions } from './nginx.ts'

const RECIPE = fileURLToPath(new URL('../../deploy/caddy/Caddyfile', import.meta.url))

/** Starts Caddy between a client and the upstream; it asks the node before each request. */
export async function startCaddy(options: ForwardAuthOptions): Promise<ConfiguredServer> {
  return await startConfiguredServer({
    binary: options.binary,
    template: RECIPE,
    replacements: {
      // Of any host, as shipped, and on this machine only.
      ':8000 {': 'http://:PORT {\n\tbind 127.0.0.1',
      'intermix:8080': `127.0.0.1:${options.nodePort}`,
      'upstream:8080': `127.0.0.1:${options.upstreamPort}`,
    },
    args: (config) => ['run', '--adapter', 'caddyfile', '--config', config],
    env: (directory) => ({ XDG_CONFIG_HOME: directory, XDG_DATA_HOME: directory, HOME: directory }),
  })
}
