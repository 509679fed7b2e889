// The settings of Redis: where it is, and how to sign in.

import type { RedisAccess } from '../redis/redis-access.ts'
import { parseRedisUrl } from '../kernel/redis-url.ts'
import { followedRedis } from './config-place.ts'
import { flagOf, type OptionTable, type OptionValues } from './options.ts'
import { CONFIGURED, DECIDING, type SettingSpec } from './setting-spec.ts'

const REDIS_SIGN_IN = {
  redisPasswordFile: {
    kind: 'path',
    placeholder: 'FILE',
    description: 'File with the password of the Redis, in place of one in its URL; read again at every connection.',
    defaultText: 'none',
    group: 'Redis',
    roles: CONFIGURED,
  },
  cacheRedisPasswordFile: {
    kind: 'path',
    placeholder: 'FILE',
    description: 'File with the password of the cache Redis.',
    defaultText: '--redis-password-file',
    group: 'Redis',
    roles: CONFIGURED,
  },
  queueRedisPasswordFile: {
    kind: 'path',
    placeholder: 'FILE',
    description: 'File with the password of the queue Redis.',
    defaultText: '--redis-password-file',
    group: 'Redis',
    roles: CONFIGURED,
  },
  revocationRedisPasswordFile: {
    kind: 'path',
    placeholder: 'FILE',
    description: 'File with the password of the Redis for revocations.',
    defaultText: '--redis-password-file',
    group: 'Redis',
    roles: DECIDING,
  },
  redisSentinelUser: {
    kind: 'text',
    placeholder: 'NAME',
    description: 'ACL user for the sentinels themselves, of redis+sentinel:// URLs.',
    pattern: { regex: /^[^\s\p{Cc}]{1,128}$/u, allowed: '1 to 128 characters without spaces' },
    defaultText: 'their default user',
    group: 'Redis',
    roles: CONFIGURED,
  },
  redisSentinelPasswordFile: {
    kind: 'path',
    placeholder: 'FILE',
    description: 'File with the password that the sentinels themselves ask for.',
    defaultText: 'none',
    group: 'Redis',
    roles: CONFIGURED,
  },
  redisTlsCa: {
    kind: 'path',
    placeholder: 'FILE',
    description:
      'Authorities in PEM that may have signed the certificates of rediss:// servers; read again at every connection.',
    defaultText: 'those that Node trusts',
    group: 'Redis',
    roles: CONFIGURED,
  },
  redisTlsCert: {
    kind: 'path',
    placeholder: 'FILE',
    description: 'Certificate that rediss:// servers are shown (mTLS), with its chain, in PEM.',
    defaultText: 'none',
    group: 'Redis',
    roles: CONFIGURED,
  },
  redisTlsKey: {
    kind: 'path',
    placeholder: 'FILE',
    description: 'Key of the certificate for rediss:// servers, in PEM.',
    defaultText: 'none',
    group: 'Redis',
    roles: CONFIGURED,
  },
} as const satisfies Readonly<Record<string, SettingSpec>>

const MESH_KEY_MODES = ['require', 'accept'] as const

const { cacheRedisPasswordFile: _, revocationRedisPasswordFile: __, ...QUEUE_SIGN_IN } = REDIS_SIGN_IN

export const REDIS_SETTINGS = {
  redis: {
    kind: 'redis',
    placeholder: 'URL|none',
    description:
      'One Redis for everything: redis://[USER[:PASSWORD]@]HOST[:PORT][/DB], redis+sentinel://HOST,HOST/MASTER, redis+cluster://HOST,HOST, or rediss for TLS. none: go without, with in-process tiers only.',
    defaultText: 'all: a private redis-server where there is one; node and worker: must be given',
    group: 'Redis',
    roles: CONFIGURED,
  },
  cacheRedis: {
    kind: 'redis',
    placeholder: 'URL|none',
    description: 'Redis for verdicts (allkeys-lru, no persistence), apart from the queue.',
    defaultText: '--redis',
    group: 'Redis',
    roles: CONFIGURED,
  },
  queueRedis: {
    kind: 'redis',
    placeholder: 'URL|none',
    description: 'Redis for report queues, revocations and quotas (noeviction, appendonly).',
    defaultText: '--redis',
    group: 'Redis',
    roles: CONFIGURED,
  },
  revocationRedis: {
    kind: 'redis',
    placeholder: 'URL',
    description:
      'Redis for revocations alone, where each region has a queue of its own and all follow one log; it may be far away.',
    defaultText: '--queue-redis; without a queue --cache-redis',
    group: 'Redis',
    roles: DECIDING,
  },
  ...REDIS_SIGN_IN,
  redisPrefix: {
    kind: 'text',
    default: 'intermix',
    placeholder: 'NAME',
    description: 'What the keys in Redis begin with; nodes that share answers have the same.',
    pattern: { regex: /^[A-Za-z0-9_-]{1,64}$/, allowed: '1 to 64 letters, digits, - or _' },
    group: 'Redis',
    roles: CONFIGURED,
  },
  mesh: {
    kind: 'text',
    placeholder: 'NAME',
    description:
      'Name of the installation that nodes and workers belong to: several may share a Redis and its prefix, and never take reports of each other.',
    defaultText: 'none: one installation for a prefix',
    pattern: { regex: /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/, allowed: '1 to 32 lower-case letters, digits and -' },
    group: 'Redis',
    roles: CONFIGURED,
  },
  meshKey: {
    kind: 'path',
    placeholder: 'FILE',
    description:
      'File with the keys that nodes share, base64 or hexadecimal of 32 bytes or more, one a line: the first signs what nodes leave in Redis for each other, all verify. Read again when it changes.',
    defaultText: 'none: who can write to Redis is believed',
    group: 'Redis',
    roles: DECIDING,
  },
  meshKeyMode: {
    kind: 'choice',
    default: 'require',
    choices: MESH_KEY_MODES,
    description: 'accept: what bears no signature is believed, too, until all nodes have --mesh-key.',
    group: 'Redis',
    roles: DECIDING,
  },
  meshEncrypt: {
    kind: 'boolean',
    default: false,
    description: 'Encrypt verdicts in Redis (AES-256-GCM) by --mesh-key, which all nodes must have.',
    group: 'Redis',
    roles: DECIDING,
  },
  redisTimeoutMs: {
    kind: 'duration',
    default: 50,
    min: 1,
    max: 10_000,
    description: 'How long a check waits for Redis before it goes on without.',
    group: 'Redis',
    roles: CONFIGURED,
  },
  queueRedisTimeoutMs: {
    kind: 'duration',
    min: 1,
    max: 10_000,
    description:
      'How long the queue Redis may take for an answer, where it is farther away than the cache: several round trips.',
    defaultText: '--redis-timeout',
    group: 'Redis',
    roles: CONFIGURED,
  },
} as const satisfies Readonly<Record<string, SettingSpec>>

/** The settings with which a command finds the Redis of the report queues. */
export const QUEUE_REDIS_SETTINGS = {
  redis: {
    ...REDIS_SETTINGS.redis,
    placeholder: 'URL',
    defaultText: 'none',
    description: 'Redis of the nodes and workers.',
  },
  queueRedis: { ...REDIS_SETTINGS.queueRedis, placeholder: 'URL', description: 'Redis of the report queues.' },
  ...QUEUE_SIGN_IN,
  redisPrefix: REDIS_SETTINGS.redisPrefix,
  mesh: REDIS_SETTINGS.mesh,
} as const satisfies OptionTable

const LINKS = ['cacheRedis', 'queueRedis', 'revocationRedis'] as const

interface RedisValues extends Partial<OptionValues<typeof REDIS_SETTINGS>> {
  /** Where the config comes from: a folder, or the URL of a Redis. */
  readonly config?: string | undefined
}

type RedisLinks = Readonly<Record<(typeof LINKS)[number] | 'configRedis', RedisAccess | undefined>>

/** The files for TLS, if there are any. */
export function redisTlsFiles(values: Pick<RedisValues, 'redisTlsCa' | 'redisTlsCert' | 'redisTlsKey'>) {
  const { redisTlsCa: ca, redisTlsCert: cert, redisTlsKey: key } = values
  return (ca ?? cert) === undefined ? undefined : { ca, cert, key }
}

/** How each Redis is reached; `undefined` for one that is not there. */
export function pickRedis(values: RedisValues): RedisLinks {
  const { redisSentinelUser: user, redisSentinelPasswordFile: passwordFile } = values
  const files = redisTlsFiles(values)
  const access = (url: string, ownFile: string | undefined): RedisAccess => {
    const { kind, tls, password } = parseRedisUrl(url)
    const file = ownFile ?? (password === undefined ? values.redisPasswordFile : undefined)
    return {
      url,
      ...(file === undefined ? {} : { passwordFile: file }),
      ...(kind !== 'sentinel' || (user ?? passwordFile) === undefined ? {} : { sentinel: { user, passwordFile } }),
      ...(!tls || files === undefined ? {} : { tls: files }),
    }
  }
  const pick = (link: (typeof LINKS)[number]): RedisAccess | undefined => {
    const url = values[link] ?? (link === 'revocationRedis' ? undefined : values.redis)
    return url === undefined || url === 'none' ? undefined : access(url, values[`${link}PasswordFile`])
  }
  const queueRedis = pick('queueRedis')
  const followed = followedRedis(values.config)
  return {
    cacheRedis: pick('cacheRedis'),
    queueRedis,
    revocationRedis: pick('revocationRedis'),
    configRedis: followed === undefined ? undefined : (sameAs(queueRedis, followed) ?? access(followed, undefined)),
  }
}

/** What is given beside a key that is not there, and a key that nothing is signed with. */
export function meshKeyProblems(values: RedisValues, given: (key: 'meshKeyMode' | 'meshEncrypt') => boolean): string[] {
  const { cacheRedis, queueRedis, revocationRedis } = pickRedis(values)
  const isSaid = [values.redis, values.cacheRedis, values.queueRedis].includes('none')
  const isAlone = isSaid && (cacheRedis ?? queueRedis ?? revocationRedis) === undefined
  if (values.meshKey !== undefined)
    return isAlone ? ['--mesh-key: signs what nodes leave in Redis, and there is none; give --redis URL'] : []
  return (['meshKeyMode', 'meshEncrypt'] as const)
    .filter((key) => given(key) && values[key] !== false)
    .map((key) => `${flagOf(key)}: needs --mesh-key, the file of the key that nodes share`)
}

/** The same server is signed in to in the same way. */
function sameAs(known: RedisAccess | undefined, url: string): RedisAccess | undefined {
  return known?.url === url ? known : undefined
}

/**
 * What was given of files and does not fit the URLs: a password that is not used must not go unnoticed. What a command has
 * from an environment that it shares with others is none of its concern.
 */
export function signInProblems(
  values: RedisValues,
  concerns: (key: keyof typeof REDIS_SIGN_IN) => boolean = () => true,
): readonly string[] {
  const links = pickRedis(values)
  const all = [...LINKS, 'configRedis' as const].flatMap((link) => links[link] ?? [])
  const problems: string[] = []
  for (const link of LINKS) {
    const key = `${link}PasswordFile` as const
    if (values[key] === undefined || !concerns(key)) continue
    const access = links[link]
    if (access === undefined) problems.push(`${flagOf(key)}: there is no such Redis; give ${flagOf(link)} URL, too`)
    else if (parseRedisUrl(access.url).password !== undefined)
      problems.push(`${flagOf(key)}: the URL of that Redis has a password already; give one of the two`)
  }
  const unused = (key: keyof typeof REDIS_SIGN_IN, used: boolean, why: string) => {
    if (values[key] !== undefined && !used && concerns(key)) problems.push(`${flagOf(key)}: ${why}`)
  }
  const general = values.redisPasswordFile
  const takesIt = all.some(({ passwordFile }) => passwordFile === general)
  unused('redisPasswordFile', takesIt, 'no Redis takes it: there is none, or each has a password of its own')
  const sentinel = all.some((access) => access.sentinel !== undefined)
  for (const key of ['redisSentinelUser', 'redisSentinelPasswordFile'] as const)
    unused(key, sentinel, 'no Redis URL begins with redis+sentinel:// or rediss+sentinel://')
  unused('redisSentinelUser', values.redisSentinelPasswordFile !== undefined, 'needs --redis-sentinel-password-file')
  const tls = all.some(({ url }) => parseRedisUrl(url).tls)
  for (const key of ['redisTlsCa', 'redisTlsCert', 'redisTlsKey'] as const)
    unused(key, tls, 'no Redis URL begins with rediss, which asks for TLS')
  unused('redisTlsCert', values.redisTlsKey !== undefined, 'needs --redis-tls-key, the file of its key')
  unused('redisTlsKey', values.redisTlsCert !== undefined, 'needs --redis-tls-cert, the file of its certificate')
  return problems
}
