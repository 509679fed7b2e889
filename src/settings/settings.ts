// The settings of a role from its arguments and environment: typed, or every problem at once.

import { hostname } from 'node:os'
import { redactRedisUrl } from '../kernel/redis-url.ts'
import { nearest } from '../kernel/suggest.ts'
import { systemRandom } from '../kernel/system-clock.ts'
import type { RedisAccess } from '../redis/redis-access.ts'
import { type Address, showAddress } from './option-kinds.ts'
import {
  type Environment,
  flagOf,
  noFlag,
  type OptionValues,
  type ReadOptions,
  readOptions,
  variableOf,
} from './options.ts'
import { missingHalf } from './certificate-pair.ts'
import { configPlaceProblems } from './config-place.ts'
import { listenerTlsProblems } from './listener-tls-settings.ts'
import { meshKeyProblems, pickRedis, signInProblems } from './redis-settings.ts'
import type { Role, SettingSpec } from './setting-spec.ts'
import { SETTINGS } from './settings-table.ts'

type Table = typeof SETTINGS

/** What a process runs with. Durations are in milliseconds, sizes in bytes. Settings of other roles have defaults. */
export interface Settings extends Omit<OptionValues<Table>, keyof RedisValues | 'queueRedisTimeoutMs' | 'nodeId'> {
  readonly role: Role
  /** Letters, digits and `-`; different for every process. */
  readonly nodeId: string
  /** Redis of the mesh-wide cache; `undefined` where there is none. */
  readonly cacheRedis: RedisAccess | undefined
  /** Redis of report queues, quotas and revocations; `undefined` where there is none. */
  readonly queueRedis: RedisAccess | undefined
  /** Redis of revocations alone; `undefined` where they are in that of the queue, or of the cache. */
  readonly revocationRedis: RedisAccess | undefined
  /** Redis whose versions of the config are followed; `undefined` where `config` is a folder. */
  readonly configRedis: RedisAccess | undefined
  /** Bound of one call of the queue Redis, in ms: that of the cache Redis unless it is set apart. */
  readonly queueRedisTimeoutMs: number
  /** Whether anything was said of Redis (`none` included); if not, `all` looks for a redis-server of its own. */
  readonly redisGiven: boolean
  /** Whether Redis was started for this node, and ends with it. */
  readonly redisIsPrivate: boolean
  /** Whether the sizes of the node's own cache were given, and no memory that it divides by itself. */
  readonly cacheIsFixed: boolean
  /** Which of the node's processes this is, from 1. */
  readonly process: number
}

export type SettingsResult = { readonly settings: Settings } | { readonly problems: readonly string[] }

/** Variables that other commands read: known, so that a shared environment is no problem. */
const OTHER_VARIABLES = [
  'INTERMIX_ADDRESS',
  'INTERMIX_ADMIN',
  'INTERMIX_TLS_CA',
  'INTERMIX_TLS_CERT',
  'INTERMIX_TLS_KEY',
  'INTERMIX_TLS_NAME',
]

/** What Kubernetes sets in every pod when there is a service called `intermix`. */
const SERVICE_LINK =
  /^INTERMIX_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/

/** Reads the settings of `role`. `argv` begins after the command's name. */
export function readSettings(role: Role, argv: readonly string[], env: Environment): SettingsResult {
  const { values, given, positionals, problems } = readOptions<Table>(tableOf(role), argv, env)
  const redis = pickRedis(values)
  const all = [
    ...problems,
    ...positionals.map((text) => noFlag(role, text, SETTINGS)),
    ...foreignFlags(role, given),
    ...unknownVariables(env),
    ...redisProblems(role, values, given),
    ...configPlaceProblems(values),
    ...sharedAddresses(role, values),
    ...listenerTlsProblems(role, values),
    ...ackProblems(values),
    ...meshKeyProblems(values, (key) => given.has(key)),
    ...cacheProblems(given),
    ...(role === 'sidecar' ? sidecarProblems(values) : replicationProblems(values, redis)),
  ]
  if (all.length > 0) return { problems: [...new Set(all)] }
  const redisGiven = given.has('redis') || given.has('cacheRedis') || given.has('queueRedis')
  const { redis: _, ...rest } = values
  return {
    settings: {
      ...rest,
      ...redis,
      // Shown and logged: no place for a password.
      config: redis.configRedis === undefined ? rest.config : redactRedisUrl(redis.configRedis.url),
      role,
      queueRedisTimeoutMs: values.queueRedisTimeoutMs ?? values.redisTimeoutMs,
      redisGiven,
      redisIsPrivate: false,
      cacheIsFixed: given.has('cacheMaxBytes') || given.has('cacheMaxEntries'),
      process: 1,
      nodeId: values.nodeId ?? freshNodeId(),
    },
  }
}

function cacheProblems(given: ReadOptions<Table>['given']): readonly string[] {
  const fixed = given.has('cacheMaxBytes') ? '--cache-max-bytes' : '--cache-max-entries'
  const isBoth = given.has('cacheMemory') && (given.has('cacheMaxBytes') || given.has('cacheMaxEntries'))
  return isBoth ? [`--cache-memory: goes without ${fixed}, which fixes what it would divide`] : []
}

/** The settings that a role has, in the order of the table. */
export function settingsOf(role: Role): Readonly<Record<string, SettingSpec>> {
  return Object.fromEntries(Object.entries<SettingSpec>(tableOf(role)).filter(([, spec]) => spec.roles.includes(role)))
}

/** The table as a role reads it: settings of other roles have their defaults, whatever an environment that is shared with those says. */
function tableOf(role: Role): Table {
  const own = ({ defaults, ...spec }: SettingSpec): SettingSpec =>
    defaults?.[role] === undefined ? spec : { ...spec, default: defaults[role] }
  const foreign = ({ required, ...spec }: SettingSpec): SettingSpec => ({
    ...spec,
    env: false,
    ...(required === true && { default: spec.kind === 'list' ? [] : '' }),
  })
  const entries = Object.entries<SettingSpec>(SETTINGS)
  // The same keys and kinds.
  return Object.fromEntries(
    entries.map(([key, spec]) => [key, spec.roles.includes(role) ? own(spec) : foreign(spec)]),
  ) as unknown as Table
}

type RedisValues = Pick<OptionValues<Table>, 'redis' | 'cacheRedis' | 'queueRedis' | 'revocationRedis'>

function redisProblems(role: Role, values: OptionValues<Table>, given: ReadOptions<Table>['given']): readonly string[] {
  const keys = ['redis', 'cacheRedis', 'queueRedis'] as const
  // A URL that could not be read is a problem already; what follows from it is none of its own.
  if (keys.some((key) => given.has(key) && values[key] === undefined)) return []
  if (!given.has('redis') && given.has('cacheRedis') !== given.has('queueRedis')) {
    const [said, unsaid] = given.has('queueRedis') ? ['queueRedis', 'cacheRedis'] : ['cacheRedis', 'queueRedis']
    return [`${flagOf(unsaid)}: missing beside ${flagOf(said)}; give its URL, or none to go without`]
  }
  if (values.revocationRedis === 'none') {
    return ['--revocation-redis: give the URL of a Redis, or leave it out: revocations are with the queue then']
  }
  if (role === 'worker' && pickRedis(values).queueRedis === undefined) {
    return ['--redis: a worker drains queues in Redis; give --redis URL or --queue-redis URL']
  }
  if (role === 'node' && !keys.some((key) => given.has(key))) {
    return ['--redis: a node shares verdicts and hands on reports through Redis; give its URL, or none to go without']
  }
  return signInProblems(values)
}

function foreignFlags(role: Role, given: ReadOptions<Table>['given']): readonly string[] {
  const table: Readonly<Record<string, SettingSpec>> = SETTINGS
  return [...given]
    .filter(([key, by]) => by === 'flag' && table[key]?.roles.includes(role) === false)
    .map(([key]) => `${flagOf(key)}: not a setting of ${role}, only of ${listed(table[key]?.roles ?? [])}`)
}

/** `a, b and c`. Intl's word for it takes 6 MB of memory, in a process that may never say it. */
function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}

function unknownVariables(env: Environment): readonly string[] {
  const known = [...Object.keys(SETTINGS).map(variableOf), ...OTHER_VARIABLES]
  return Object.keys(env)
    .filter((name) => name.startsWith('INTERMIX_') && !known.includes(name) && !SERVICE_LINK.test(name))
    .map((name) => {
      const near = nearest(name, known).join(' or ')
      return `${name}: no such variable${near === '' ? '; --help lists them' : `; did you mean ${near}?`}`
    })
}

function sharedAddresses(role: Role, values: OptionValues<Table>): readonly string[] {
  const listeners = (['grpcAddress', 'httpAddress', 'adminAddress', 'prometheusAddress'] as const).filter((key) => {
    const spec: SettingSpec = SETTINGS[key]
    return spec.roles.includes(role)
  })
  const problems: string[] = []
  for (const [i, key] of listeners.entries()) {
    for (const other of listeners.slice(i + 1)) {
      if (collide(values[key], values[other])) {
        problems.push(
          `${flagOf(other)}: ${flagOf(key)} listens on ${showAddress(values[key])} already; give another ${values[key].path === undefined ? 'port' : 'path'}`,
        )
      }
    }
  }
  return problems
}

/** `queued` or `http=queued`: two of them that say different things of the same doors are a mistake. */
function ackProblems({ reportAck }: OptionValues<Table>): readonly string[] {
  const doorsOf = (item: string) => item.replace(/[^=]*$/, '')
  const clashes = reportAck.filter((item, at) =>
    reportAck.slice(0, at).some((other) => other !== item && doorsOf(other) === doorsOf(item)),
  )
  return clashes.map((item) => `--report-ack: "${item}" contradicts what stands before it: give one for each door`)
}

/** Without a Redis, or with a private one, there are no replicas, and no other nodes. */
function replicationProblems(
  { reportAck, revocationAck, advertiseAddress }: OptionValues<Table>,
  { cacheRedis, queueRedis, revocationRedis }: ReturnType<typeof pickRedis>,
): readonly string[] {
  const needs = (setting: string, redis: unknown) =>
    redis === undefined
      ? [`${setting} replicated: promises what replicas of a Redis have; give --queue-redis URL or --redis URL`]
      : []
  return [
    ...(reportAck.some((item) => item.endsWith('replicated')) ? needs('--report-ack', queueRedis) : []),
    ...(revocationAck === 'replicated' ? needs('--revocation-ack', revocationRedis ?? queueRedis ?? cacheRedis) : []),
    ...(advertiseAddress !== undefined && (revocationRedis ?? queueRedis ?? cacheRedis) === undefined
      ? ['--advertise-address: nodes tell each other through Redis; give --redis URL']
      : []),
  ]
}

function sidecarProblems({
  nodes,
  nodesTlsCa,
  nodesTlsCert,
  nodesTlsKey,
  nodesTlsName,
  reportAck,
}: OptionValues<Table>): readonly string[] {
  const tls = { nodesTlsCert, nodesTlsKey, nodesTlsName }
  const without = Object.entries(tls).filter(([, value]) => value !== undefined && nodesTlsCa === undefined)
  return [
    ...(nodes?.length === 0 ? ['--nodes: names no node; give HOST:PORT, or several separated by commas'] : []),
    ...without.map(([key]) => `${flagOf(key)}: needs --nodes-tls-ca, the authorities of the nodes' certificates`),
    ...missingHalf('--nodes-tls', nodesTlsCert, nodesTlsKey),
    ...(reportAck.some((item) => item.endsWith('replicated'))
      ? [
          '--report-ack replicated: a sidecar promises memory or queued, once a node has it; give nodes that --report-ack',
        ]
      : []),
  ]
}

function collide(a: Address | undefined, b: Address | undefined): boolean {
  if (a === undefined || b === undefined) return false
  if (a.path !== undefined || b.path !== undefined) return a.path === b.path
  if (a.port === 0 || a.port !== b.port) return false
  const every = (host: string) => host === '0.0.0.0' || host === '::'
  return a.host === b.host || every(a.host) || every(b.host)
}

function freshNodeId(): string {
  const host = hostname()
    .replace(/[^A-Za-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
  const suffix = Math.floor(systemRandom() * 2 ** 32).toString(16)
  return `${host === '' ? 'node' : host.slice(0, 48)}-${suffix.padStart(8, '0')}`
}
