// `intermix redis-acl`: prints users for Redis that may do what Intermix does, and nothing else.

import { createHash } from 'node:crypto'
import { IntermixError } from '../kernel/errors.ts'
import type { OptionTable, OptionValues } from '../settings/options.ts'
import { SETTINGS } from '../settings/settings-table.ts'
import { meshPrefix } from '../telemetry/queue-names.ts'
import { defineTool, pickAction } from './command.ts'
import { type CommandIo, EXIT } from './io.ts'
import { REDIS_PLACES, type RedisPlace, REDIS_ROLES, type RedisRole, rightsOf, TOPOLOGIES } from './redis-rights.ts'

const OPTIONS = {
  roles: {
    kind: 'list',
    default: [],
    choices: REDIS_ROLES,
    env: false,
    placeholder: 'ROLE,…',
    description: `For whom: ${REDIS_ROLES.join(', ')}. operator runs intermix dead-letters and rollout; quota is for a redisquota with a Redis of its own; sentinels and replicas sign in as the last two.`,
    defaultText: 'node, worker and operator; with Sentinel also sentinel and replica, with a cluster replica',
  },
  topology: {
    kind: 'choice',
    default: 'single',
    choices: TOPOLOGIES,
    env: false,
    description: 'How the server is found.',
  },
  redisPrefix: SETTINGS.redisPrefix,
  mesh: SETTINGS.mesh,
  passwordFile: {
    kind: 'path',
    env: false,
    placeholder: 'FILE',
    description: 'Give these users the password in the file, instead of those that they have; its hash is printed.',
    defaultText: 'as it is: give it by ACL SETUSER NAME >PASSWORD',
  },
  aclfile: {
    kind: 'boolean',
    default: false,
    env: false,
    description: 'Print lines for the aclfile of a server instead of commands.',
  },
} as const satisfies OptionTable

const ACTIONS = {
  cache: { usage: '', summary: 'For the Redis that --cache-redis names.' },
  queue: { usage: '', summary: 'For the Redis that --queue-redis names, with the revocations.' },
  revocations: { usage: '', summary: 'For the Redis that --revocation-redis names.' },
  all: { usage: '', summary: 'For one Redis that is all of these (--redis), or the cache of nodes without a queue.' },
  sentinels: { usage: '', summary: 'For the sentinels: a user for nodes and workers, who ask them for the master.' },
} as const

type Where = keyof typeof ACTIONS

const PLACES: Readonly<Record<Exclude<Where, 'sentinels'>, readonly RedisPlace[]>> = {
  cache: ['cache'],
  queue: ['queue', 'revocations'],
  revocations: ['revocations'],
  all: REDIS_PLACES,
}

const USUAL_ROLES: Readonly<Record<(typeof TOPOLOGIES)[number], readonly RedisRole[]>> = {
  single: ['node', 'worker', 'operator'],
  sentinel: ['node', 'worker', 'operator', 'sentinel', 'replica'],
  cluster: ['node', 'worker', 'operator', 'replica'],
}

/** A client of a sentinel asks for the master and for other sentinels, and listens to what becomes of the master. */
const SENTINEL_RULES = [
  'resetkeys',
  'resetchannels',
  '&+switch-master',
  '-@all',
  '+info',
  '+ping',
  '+sentinel|get-master-addr-by-name',
  '+sentinel|master',
  '+sentinel|sentinels',
  '+subscribe',
]

/** `intermix redis-acl`. */
export const redisAcl = defineTool({
  usage: '(cache | queue | revocations | all | sentinels) [flags]',
  options: OPTIONS,
  operands: true,
  actions: ACTIONS,
  notes: [
    'Users are named after the prefix, the mesh and the role: intermix-node. To run it again after an update changes their rights and leaves their passwords.',
    'Redis 6.2 or later. Servers do not tell each other of users: every server of a cluster, every replica and every sentinel needs them.',
    'Exits with 0 when done and 2 for wrong flags.',
  ],
  examples: [
    'intermix redis-acl queue --roles worker --password-file worker.password',
    'intermix redis-acl all --redis-prefix shop --aclfile',
  ],
  read({ values, positionals: [word, ...more] }, problems) {
    const where = pickAction(ACTIONS, word, problems)
    problems.push(...more.map((text) => `${text}: one Redis at a time`))
    if (where === 'sentinels' && values.roles.length > 0) problems.push('--roles: at the sentinels all are alike')
    return where === undefined ? undefined : { where, values }
  },
  async run({ where, values }, io) {
    const password = values.passwordFile === undefined ? [] : ['resetpass', await passwordHash(values.passwordFile, io)]
    const own = meshPrefix(values.redisPrefix, values.mesh)
    const lines = usersFor(where, values).map(({ name, rules }) => {
      return [values.aclfile ? 'user' : 'ACL SETUSER', `${own}-${name}`, 'on', ...password, ...rules].join(' ')
    })
    if (lines.length === 0)
      throw new IntermixError('INVALID_SETTING', `--roles: ${values.roles.join(', ')} have nothing to do there`)
    for (const line of lines) io.out(line)
    return EXIT.ok
  },
})

interface User {
  readonly name: string
  readonly rules: readonly string[]
}

type Values = OptionValues<typeof OPTIONS>

function usersFor(where: Where, { roles, topology, redisPrefix: prefix, mesh }: Values): readonly User[] {
  if (where === 'sentinels') return [{ name: 'client', rules: SENTINEL_RULES }]
  const names = { prefix, own: meshPrefix(prefix, mesh) }
  const asked = roles.length > 0 ? roles : USUAL_ROLES[topology]
  return asked.flatMap((role) => {
    const rights = rightsOf({ role, places: PLACES[where], topology, names })
    if (rights === undefined) return []
    const keys = rights.keys.map((pattern) => `~${pattern}`)
    const commands = rights.commands.map((command) => `+${command}`)
    const channels = rights.channels.map((pattern) => `&${pattern}`)
    return [{ name: role, rules: ['resetkeys', ...keys, 'resetchannels', ...channels, '-@all', ...commands] }]
  })
}

/** As Redis takes it. The file may end with a line end. */
async function passwordHash(file: string, io: CommandIo): Promise<string> {
  const text = await io.readFile(file).catch((error: unknown) => {
    const { message } = IntermixError.from(error)
    throw new IntermixError('INVALID_SETTING', `--password-file: ${file} cannot be read: ${message}`)
  })
  const password = text.replace(/\r?\n$/, '')
  if (password === '') throw new IntermixError('INVALID_SETTING', `--password-file: ${file} is empty`)
  return `#${createHash('sha256').update(password).digest('hex')}`
}
