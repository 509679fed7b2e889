// What each kind of process does with Redis: the commands that it runs, and the keys. What our scripts run is read from them.

import { commandsOfScripts } from '../redis/scripts.ts'

/** What the keys of an installation begin with. */
interface KeyNames {
  /** `--redis-prefix`. */
  readonly prefix: string
  /** With the name of the mesh, where there is one. */
  readonly own: string
}

interface Task {
  /** What the files of its scripts begin with in `redis/scripts`. */
  readonly scripts?: readonly string[]
  /** What is run beside these: by the client itself, by BullMQ's scripts and by those of adapters. */
  readonly commands?: string
  /** Key patterns. */
  readonly keys: (names: KeyNames) => readonly string[]
}

/** Of BullMQ's scripts: adding jobs, looking at them, removing them. */
const ADD = 'exists get hget hmget hmset hset incr llen lpush set xadd zadd zcard zrange'
const LOOK = 'hget hgetall hmget lindex llen lrange rpop zcard zcount zrange'
const REMOVE = 'del exists hdel hget hgetall lrem smembers xadd zrem zscore'
/** Taking, holding, ending and taking over. */
const TAKE =
  'bzpopmin del exists get hdel hexists hget hgetall hincrby hmget hmset hset incr lindex llen lpush lrange lrem ' +
  'ltrim pexpire pttl rpoplpush rpush sadd scard set smembers srem xadd xtrim zadd zcard zpopmin zrange zrangebyscore zrem ' +
  'zremrangebyrank zremrangebyscore zrevrange zrevrangebyscore zscore'

const REPORTS = ({ own }: KeyNames) => [`{${own}-reports*`]
const HANDLERS = ({ own }: KeyNames) => [`{${own}-deliver-*`]
const LETTERS = ({ own }: KeyNames) => [`{${own}-dead-letters}*`]
const LEDGER = ({ own }: KeyNames) => [`{${own}-ledger*`]
const ROLLOUT = ({ own }: KeyNames) => [`{${own}-rollout}*`]

const TASKS = {
  verdicts: { scripts: ['verdict'], keys: ({ prefix }) => [`${prefix}:{*`] },
  revocations: {
    scripts: ['revocation'],
    commands: 'getex hdel zrem',
    keys: ({ prefix }) => [`{${prefix}:revocations}*`],
  },
  /** Beside the revocations. */
  members: { scripts: ['members'], keys: ({ prefix }) => [`{${prefix}:revocations}*`] },
  presence: {
    scripts: ['process'],
    commands: 'hscan zadd zrange zrem',
    keys: ({ prefix }) => [`{${prefix}-processes}*`],
  },
  addReports: { scripts: ['queue-look'], commands: `${ADD} zrem`, keys: REPORTS },
  /** What is promised as replicated: a small key beside what was written, and then how many replicas have it. */
  replication: { scripts: ['server-line'], commands: 'set wait', keys: () => [] },
  signs: { scripts: ['node-sign'], commands: 'hgetall hmget hscan', keys: LEDGER },
  takeReports: {
    scripts: ['queue', 'drop-job'],
    commands: `${ADD} ${LOOK} ${TAKE}`,
    keys: REPORTS,
  },
  takeBatches: {
    scripts: ['queue', 'drop-job'],
    commands: `${ADD} ${LOOK} ${TAKE}`,
    keys: HANDLERS,
  },
  bury: { commands: `${ADD} ${LOOK} ${REMOVE}`, keys: LETTERS },
  ledger: { scripts: ['ledger'], commands: 'hgetall hdel hget hmget hscan', keys: LEDGER },
  counters: {
    scripts: ['counter'],
    commands: 'hget hscan sismember unlink zrem',
    keys: ({ own }) => [`{${own}-counters-*`],
  },
  /** Limits that nodes share: those of the adapter `quota`, and rate limits by descriptors. */
  limits: { scripts: ['quota'], commands: 'mget scan unlink zrange', keys: ({ own }) => [`${own}:q:*`] },
  /** Of the adapter `redisquota`. */
  quotas: {
    commands: 'get hdel hgetall hincrby hmget hset pexpire set time',
    keys: ({ own }) => [`${own}:rq:{*`],
  },
  /** Which version to run is asked for, and told how that goes; versions are read. */
  followRollouts: {
    scripts: ['rollout-read', 'rollout-observe', 'rollout-vote'],
    // `set`: whether Redis can be used is found out by writing.
    commands: 'hget set',
    keys: ROLLOUT,
  },
  /** Beside following them. */
  leadRollouts: {
    scripts: ['rollout-write', 'rollout-lease', 'rollout-observations', 'rollout-announce'],
    keys: ROLLOUT,
  },
  operateRollouts: {
    scripts: ['rollout-read', 'rollout-write', 'rollout-observations', 'rollout-keep'],
    commands: 'hget hgetall xrevrange zrange',
    keys: ROLLOUT,
  },
  replay: { commands: ADD, keys: (names) => [...REPORTS(names), ...HANDLERS(names)] },
} as const satisfies Readonly<Record<string, Task>>

type TaskName = keyof typeof TASKS

/** What a Redis may be to Intermix. */
export const REDIS_PLACES = ['cache', 'queue', 'revocations'] as const
export type RedisPlace = (typeof REDIS_PLACES)[number]

const WORKER: readonly TaskName[] = [
  'presence',
  'takeReports',
  'takeBatches',
  'replication',
  'bury',
  'ledger',
  'counters',
  'followRollouts',
]
const NODE = {
  cache: ['verdicts'],
  queue: ['presence', 'addReports', 'replication', 'signs', 'limits', 'quotas', 'followRollouts', 'leadRollouts'],
  revocations: ['revocations', 'members', 'replication'],
} as const satisfies Readonly<Record<RedisPlace, readonly TaskName[]>>

/** Kinds of users, with what they do where. */
const ROLES = {
  node: NODE,
  worker: { queue: WORKER },
  all: { ...NODE, queue: [...NODE.queue, ...WORKER] },
  operator: { queue: ['bury', 'ledger', 'replay', 'operateRollouts'] },
  quota: { queue: ['quotas'] },
} as const satisfies Readonly<Record<string, Readonly<Partial<Record<RedisPlace, readonly TaskName[]>>>>>

/** What servers sign in as at each other: sentinels at all that they watch, replicas at their master. */
const SERVERS = {
  sentinel: {
    commands:
      'client|kill client|setname config|rewrite exec info multi ping publish role script|kill slaveof subscribe',
    channels: ['__sentinel__:hello'],
  },
  replica: { commands: 'ping psync replconf', channels: [] },
} as const

type ProcessRole = keyof typeof ROLES
type ServerRole = keyof typeof SERVERS
export type RedisRole = ProcessRole | ServerRole
export const REDIS_ROLES = [...Object.keys(ROLES), ...Object.keys(SERVERS)] as readonly RedisRole[]

export const TOPOLOGIES = ['single', 'sentinel', 'cluster'] as const

interface RightsOptions {
  readonly role: RedisRole
  readonly places: readonly RedisPlace[]
  readonly topology: (typeof TOPOLOGIES)[number]
  readonly names: KeyNames
}

interface Rights {
  /** In lower case, sub-commands as `client|setname`; sorted. */
  readonly commands: readonly string[]
  readonly keys: readonly string[]
  readonly channels: readonly string[]
}

/** What every connection needs: names as those of a cluster's client and BullMQ's have, and a small write by which links tell whether Redis is of use. */
const CONNECTION = 'client|setname eval evalsha info ping set'
/** A cluster's client asks which server has which slot, and a slot that moves is asked for by `ASKING`. */
const CLUSTER = 'asking cluster|info cluster|slots'

/** What a user needs; `undefined` where it has nothing to do there. */
export function rightsOf({ role, places, topology, names }: RightsOptions): Rights | undefined {
  if (isServer(role)) return { commands: SERVERS[role].commands.split(' '), keys: [], channels: SERVERS[role].channels }
  const work: Readonly<Partial<Record<RedisPlace, readonly TaskName[]>>> = ROLES[role]
  const tasks: readonly Task[] = places.flatMap((place) => work[place] ?? []).map((name) => TASKS[name])
  if (tasks.length === 0) return undefined
  // Database 0 is chosen by nobody: a cluster has no other one.
  const connection = topology === 'cluster' ? `${CONNECTION} ${CLUSTER}` : `${CONNECTION} select`
  const commands = tasks.flatMap(({ scripts = [], commands: more = '' }) => [
    ...scripts.flatMap(commandsOfScripts),
    ...more.split(' ').filter((text) => text !== ''),
  ])
  return {
    commands: [...new Set([...connection.split(' '), ...commands])].sort(),
    keys: [...new Set(tasks.flatMap(({ keys }) => keys(names)))].sort(),
    channels: [],
  }
}

function isServer(role: RedisRole): role is ServerRole {
  return Object.hasOwn(SERVERS, role)
}
