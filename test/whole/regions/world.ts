// Two regions of real processes, far apart: each has nodes and a cache Redis, and what they share is reached through a proxy
// that delays every byte, or passes none.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FlakyProxy, startFlakyProxy } from '../../helpers/flaky-proxy.ts'
import { type HttpBackend, startHttpBackend } from '../../helpers/http-backend.ts'
import { type RedisServer, startRedis } from '../../helpers/redis.ts'
import { type Intermix, startIntermix } from '../intermix.ts'

/** `shared`: the second region uses the queue Redis of the first. `apart`: it has its own, and follows the first's revocations. */
export type Topology = 'shared' | 'apart'

export interface Regions {
  /** One node in the first region, two in the second. */
  readonly home: Intermix
  readonly away: readonly [Intermix, Intermix]
  /** What lies between: the way of the second region to the first's queue Redis. */
  readonly between: FlakyProxy
  /** The backend of all checks; it allows for five minutes unless told otherwise. */
  readonly backend: HttpBackend
  /** Starts one more node in the second region. */
  startAway(nodeId: string): Promise<Intermix>
  /** Records that have come to an end, wherever their worker is; each as often as it has. */
  arrived(): readonly string[]
  stop(): Promise<void>
}

export interface RegionsOptions {
  readonly topology: Topology
  /** From one region to the other and back, in milliseconds; 80 unless given. */
  readonly roundTripMs?: number
  /** Of the second region's nodes. */
  readonly flags: readonly string[]
}

/** Starts everything; ends what had started when something does not start. */
export async function startRegions({ topology, roundTripMs = 80, flags }: RegionsOptions): Promise<Regions> {
  const ends: (() => Promise<unknown> | undefined)[] = []
  const stop = async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  }
  try {
    const directory = mkdtempSync(join(tmpdir(), 'intermix-regions-'))
    ends.push(async () => rmSync(directory, { recursive: true, force: true }))
    const redis = async (policy: string): Promise<RedisServer> => {
      const server = await startRedis({ args: ['--maxmemory-policy', policy] })
      ends.push(() => server.stop())
      return server
    }
    const queue = await redis('noeviction')
    const between = await startFlakyProxy({ host: '127.0.0.1', port: queue.port })
    between.setLatency(roundTripMs / 2)
    const backend = await startHttpBackend(ALLOWING)
    ends.push(() => backend.close())
    const config = join(directory, 'config')
    const out = join(directory, 'out')
    mkdirSync(config)
    writeFileSync(join(config, 'all.yaml'), policy(backend.url, out))
    const start = async (role: 'node' | 'worker', nodeId: string, redisFlags: readonly string[]) => {
      const started = await startIntermix({ role, config, nodeId, flags: redisFlags })
      ends.push(() => started.child.stop())
      return started
    }
    const homeRedis = ['--cache-redis', (await redis('allkeys-lru')).url, '--queue-redis', queue.url]
    await start('worker', 'worker-home', homeRedis)
    const home = await start('node', 'home-1', homeRedis)
    const cache = ['--cache-redis', (await redis('allkeys-lru')).url]
    const far = `redis://127.0.0.1:${between.port}`
    const sharing = async () => [...cache, '--queue-redis', far, '--queue-redis-timeout', '500ms']
    const apart = async () => {
      const own = [...cache, '--queue-redis', (await redis('noeviction')).url]
      await start('worker', 'worker-away', own)
      return [...own, '--revocation-redis', far]
    }
    const awayRedis = topology === 'shared' ? await sharing() : await apart()
    const startAway = (name: string) =>
      start('node', name, [...awayRedis, '--spool-dir', join(directory, name), ...flags])
    const away = [await startAway('away-1'), await startAway('away-2')] as const
    // Last, so that it goes first: the processes then end without waiting for what is far away.
    ends.push(() => between.close())
    return { home, away, startAway, between, backend, arrived: () => namesIn(out), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

export const ALLOWING = () => ({ status: 200, headers: { 'cache-control': 'max-age=300' } })

function namesIn(path: string): readonly string[] {
  return existsSync(path) ? [...readFileSync(path, 'utf8').matchAll(/\/record-\d+-/g)].map(([name]) => name) : []
}

function policy(backendUrl: string, out: string): string {
  const metadata = (name: string) => ({ name, namespace: 'istio-system' })
  const document = (kind: string, name: string, spec: object) =>
    `${JSON.stringify({ apiVersion: 'config.istio.io/v1alpha2', kind, metadata: metadata(name), spec })}\n`
  const rule = (name: string, match: string, of: string, instance: string) =>
    document('rule', name, { match, actions: [{ handler: of, instances: [instance] }] })
  const manifest = { 'request.path': 'STRING', 'request.headers': 'STRING_MAP', 'context.reporter.kind': 'STRING' }
  const typed = Object.entries(manifest).map(([name, valueType]) => [name, { valueType }])
  const user = 'request.headers["x-user"] | "nobody"'
  const handler = (name: string, compiledAdapter: string, params: object, settings: object = {}) =>
    document('handler', name, { compiledAdapter, params, ...settings })
  const patient = { connection: { timeout: '2s' } }
  return [
    document('attributemanifest', 'proxy', { attributes: Object.fromEntries(typed) }),
    handler('rights', 'http', { url: `${backendUrl}/check` }, patient),
    document('instance', 'user', { compiledTemplate: 'listentry', params: { value: user } }),
    rule('rights', 'match(request.path, "/rights*")', 'rights', 'user'),
    handler('limit', 'redisquota', { quotas: [{ name: 'calls', maxAmount: 10, validDuration: '300s' }] }, patient),
    document('instance', 'calls', { compiledTemplate: 'quota', params: { dimensions: { user } } }),
    rule('limit', 'match(request.path, "/limited*")', 'limit', 'calls'),
    handler('lines', 'stdio', { logStream: 'FILE', outputPath: out }),
    document('instance', 'line', {
      compiledTemplate: 'logentry',
      params: { severity: '"info"', variables: { path: 'request.path' } },
    }),
    rule('lines', 'match(request.path, "/record*")', 'lines', 'line'),
  ].join('---\n')
}
