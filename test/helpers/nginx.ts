// A real nginx with the auth_request recipe that the project ships.
import { fileURLToPath } from 'node:url'
import { type ConfiguredServer, startConfiguredServer } from './configured-server.ts'

const RECIPE = fileURLToPath(new URL('../../deploy/nginx/nginx.conf', import.meta.url))

export interface ForwardAuthOptions {
  readonly binary: string
  /** HTTP port of the node on 127.0.0.1. */
  readonly nodePort: number
  /** HTTP port of the upstream on 127.0.0.1. */
  readonly upstreamPort: number
}

/** Starts nginx between a client and the upstream; it asks the node before each request. */
export async function startNginx(options: ForwardAuthOptions): Promise<ConfiguredServer> {
  return await startConfiguredServer({
    binary: options.binary,
    template: RECIPE,
    replacements: {
      'listen 8000': 'listen 127.0.0.1:PORT',
      'intermix:8080': `127.0.0.1:${options.nodePort}`,
      'upstream:8080': `127.0.0.1:${options.upstreamPort}`,
      '/var/cache/nginx': 'DIRECTORY',
    },
    args: (config, directory) => [
      '-p',
      directory,
      '-c',
      config,
      '-e',
      'stderr',
      '-g',
      `daemon off; pid ${directory}/pid;`,
    ],
  })
}
