// What a process says when it has started: one block for a person at a terminal, one line for a log collector.

import type { Logger } from '../kernel/ports.ts'
import type { RedisAccess } from '../redis/redis-access.ts'
import { redactRedisUrl } from '../kernel/redis-url.ts'
import type { EmbeddedRedis } from './embedded-redis.ts'
import { tlsFilesOf } from '../settings/listener-tls-settings.ts'
import type { Settings } from '../settings/settings.ts'
import type { TlsFiles } from '../tls/tls-files.ts'

export interface StartSummaryOptions {
  readonly addresses: Readonly<Record<string, string>>
  readonly facts?: Readonly<Record<string, string>>
  readonly redis: EmbeddedRedis | undefined
  readonly settings: Settings
  readonly host: { readonly version: string; readonly terminal: boolean }
  readonly log: Logger
}

/** @returns the block for standard output; empty where the summary went to the log instead. */
export function startSummary(options: StartSummaryOptions): string {
  const { addresses, settings, host, log, facts = {} } = options
  const { role, config, logFormat } = settings
  const isSidecar = role === 'sidecar'
  const pretty = logFormat === 'pretty' || (logFormat === 'auto' && host.terminal)
  if (!pretty) {
    const mesh = isSidecar ? {} : { config, redis: redisLine(options) }
    log.info({ version: host.version, addresses, ...mesh, facts }, 'started')
    return ''
  }
  const { config: held, ...others } = facts
  const about = isSidecar
    ? others
    : { config: held === undefined ? config : `${config}: ${held}`, ...others, redis: redisLine(options) }
  const rows = Object.entries({ ...addresses, ...about })
  const width = Math.max(...rows.map(([name]) => name.length))
  const lines = [
    `Intermix ${host.version}: ${settings.role} ${settings.nodeId} is ready.`,
    ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`),
    ...hint(addresses, settings),
  ]
  return `${lines.join('\n')}\n`
}

function redisLine(options: StartSummaryOptions): string {
  const { revocationRedis } = options.settings
  if (revocationRedis === undefined) return ownRedisLine(options)
  return `${ownRedisLine(options)}; revocations ${redactRedisUrl(revocationRedis.url)}`
}

function ownRedisLine({ redis, settings }: StartSummaryOptions): string {
  if (redis !== undefined) return `a private redis-server on 127.0.0.1:${redis.port}, ended with this process`
  const { cacheRedis, queueRedis, redisGiven } = settings
  if (cacheRedis === undefined && queueRedis === undefined) {
    const why = redisGiven ? '' : ' (no redis-server on the path and no --redis)'
    return `none${why}: in-process tiers only, reports do not outlive the process`
  }
  const show = (access: RedisAccess | undefined) => (access === undefined ? 'none' : redactRedisUrl(access.url))
  if (cacheRedis?.url === queueRedis?.url) return show(cacheRedis)
  return `cache ${show(cacheRedis)}, queue ${show(queueRedis)}`
}

function hint(addresses: Readonly<Record<string, string>>, settings: Settings): readonly string[] {
  const { http, admin } = addresses
  const at = (address: string, listener: 'http' | 'admin') => reachable(address, tlsFilesOf(settings, listener))
  if (http !== undefined) return [`  try: curl -s ${at(http, 'http')}/v1/check -d '{"attributes": {}}'`]
  return admin === undefined ? [] : [`  try: curl -s ${at(admin, 'admin')}/readyz`]
}

/** What curl is told: an address that listens on every interface is called on this machine's own. */
function reachable(address: string, tls: TlsFiles | undefined): string {
  if (address.startsWith('unix:')) return `--unix-socket ${address.slice('unix:'.length)} http://localhost`
  const own = address.replace(/^(0\.0\.0\.0|\[::\])(?=:)/, '127.0.0.1')
  if (tls === undefined) return `http://${own}`
  const certificate = tls.clientCa === undefined ? '' : '--cert FILE --key FILE '
  return `--cacert FILE ${certificate}https://${own}`
}
