// `intermix dead-letters`: shows what could not be delivered, and sends it again or drops it.

import { within } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import { createLogger } from '../observe/logger.ts'
import { createMeter } from '../observe/meter.ts'
import { connectRedis, type RedisLink } from '../redis/connection.ts'
import { redactRedisUrl } from '../redis/redis-url.ts'
import { type DeadLetter, DeadLetters } from '../telemetry/dead-letters.ts'
import { meshPrefix } from '../telemetry/queue-names.ts'
import { RedisLedger } from '../telemetry/redis-ledger.ts'
import { defineTool, pickAction } from './command.ts'
import { type CommandIo, EXIT } from './io.ts'
import { SETTINGS } from '../settings/settings-table.ts'
import type { OptionTable, OptionValues } from '../settings/options.ts'

const OPTIONS = {
  handler: {
    kind: 'text',
    env: false,
    placeholder: 'NAME',
    description: 'Only those of one handler, by its full name; fan-out for reports that could not be read.',
  },
  all: { kind: 'boolean', default: false, env: false, description: 'Replay or drop all that --handler leaves.' },
  limit: {
    kind: 'integer',
    default: 100,
    min: 1,
    max: 100_000,
    env: false,
    description: 'How many to list at most, oldest first.',
  },
  json: { kind: 'boolean', default: false, env: false, description: 'One JSON object a line.' },
  redis: { kind: 'redis', placeholder: 'URL', description: 'Redis of the nodes and workers.' },
  queueRedis: { kind: 'redis', placeholder: 'URL', description: 'Redis of the report queues.', defaultText: '--redis' },
  redisPrefix: {
    kind: 'text',
    default: 'intermix',
    placeholder: 'NAME',
    description: 'What the keys in Redis begin with.',
    pattern: { regex: /^[A-Za-z0-9_-]{1,64}$/, allowed: '1 to 64 letters, digits, - or _' },
  },
  mesh: {
    kind: 'text',
    placeholder: 'NAME',
    description: 'The installation whose dead letters they are, as its workers name it.',
    defaultText: 'none',
    pattern: SETTINGS.mesh.pattern,
  },
} as const satisfies OptionTable

type Values = OptionValues<typeof OPTIONS>

const ACTIONS = {
  list: { usage: '', summary: 'List them, oldest first.' },
  show: { usage: 'ID', summary: 'Show one with all that is in it.' },
  replay: { usage: 'ID|--all', summary: 'Send one or all again.' },
  drop: { usage: 'ID|--all', summary: 'Drop one or all.' },
} as const

type Action = keyof typeof ACTIONS

const CONNECT_MS = 3000
const PAGE = 1000

/** `intermix dead-letters`. */
export const deadLetters = defineTool({
  usage: '(list | show ID | replay ID|--all | drop ID|--all) [flags]',
  options: OPTIONS,
  operands: true,
  actions: ACTIONS,
  notes: [
    'A replayed batch keeps its id, so that a backend which has seen it can tell. What is dropped is counted in the ledger.',
    'Exits with 0 when done, 1 when there is no such dead letter, 2 for wrong flags and 3 when Redis cannot be reached.',
  ],
  examples: [
    'intermix dead-letters list --handler statsd.handler.istio-system',
    'intermix dead-letters replay --all --handler statsd.handler.istio-system',
  ],
  read({ values, positionals: [word, id, ...rest] }, problems) {
    const action = pickAction(ACTIONS, word, problems)
    if (action !== undefined) problems.push(...misuse({ action, id, rest, values }))
    const url = values.queueRedis ?? values.redis
    if (url !== undefined && url !== 'none') return action === undefined ? undefined : { action, id, values, url }
    problems.push('--redis: give the URL of the Redis that holds the report queues')
    return undefined
  },
  async run({ url, ...task }, io) {
    const { clock, random } = io
    const log = createLogger({
      format: 'pretty',
      level: 'error',
      terminal: false,
      write: (line) => io.err(line.trimEnd()),
    })
    const link = connectRedis({ url, role: 'queue', clock, random, log, meter: createMeter({ processMetrics: false }) })
    try {
      await untilUp(link, url, clock)
      const prefix = meshPrefix(task.values.redisPrefix, task.values.mesh)
      const letters = new DeadLetters({ link, prefix, ledger: new RedisLedger(link, prefix) })
      const code = await act({ ...task, letters, io })
      await letters.close()
      return code
    } finally {
      link.close()
    }
  },
})

interface Call {
  readonly action: Action
  readonly id: string | undefined
  readonly rest: readonly string[]
  readonly values: Values
}

function misuse({ action, id, rest, values }: Call): string[] {
  const found = rest.map((text) => `${text}: ${action} takes no further argument`)
  if (action === 'list' && id !== undefined) found.push(`${id}: list takes flags only; use show for one`)
  if (action === 'show' && id === undefined) found.push('show: give the ID that list shows')
  if (action === 'replay' || action === 'drop') {
    if (values.all === (id !== undefined)) found.push(`${action}: give either an ID or --all`)
    if (id !== undefined && values.handler !== undefined) found.push('--handler: goes with --all, not with an ID')
  } else if (values.all) {
    found.push(`--all: goes with replay and drop, not with ${action}`)
  }
  return found
}

async function untilUp(link: RedisLink, url: string, clock: Clock): Promise<void> {
  let reason = ''
  link.client.on('error', (error: Error) => {
    reason = `: ${error.message}`
  })
  const up = new Promise<void>((resolve) => {
    link.onUp(resolve)
  })
  await within(clock, CONNECT_MS, up, () => {
    throw new IntermixError(
      'REDIS_UNAVAILABLE',
      `Redis at ${redactRedisUrl(url)} could not be reached within ${CONNECT_MS} ms${reason}`,
    )
  })
}

interface Task {
  readonly action: Action
  readonly id: string | undefined
  readonly values: Values
  readonly letters: DeadLetters
  readonly io: CommandIo
}

async function act({ action, id, values, letters, io }: Task): Promise<number> {
  const filter = values.handler === undefined ? {} : { handler: values.handler }
  if (action === 'list') return await list(letters, io, { ...filter, limit: values.limit, json: values.json })
  if (action === 'show') {
    const letter = await letters.get(id ?? '')
    if (letter === undefined) throw new IntermixError('NOT_FOUND', `there is no dead letter '${id}'`)
    io.out(JSON.stringify(letter, undefined, values.json ? undefined : 2))
    return EXIT.ok
  }
  const one = (letter: string) => (action === 'replay' ? letters.replay(letter) : letters.drop(letter))
  const done = id === undefined ? await each(letters, filter, one) : [await one(id)]
  const records = done.reduce((sum, letter) => sum + letter.count, 0)
  const verb = action === 'replay' ? 'replayed' : 'dropped'
  io.out(`${verb} ${counted(done.length, 'dead letter')} with ${counted(records, 'record')}`)
  return EXIT.ok
}

/** Only what is there at the start: a replayed letter may soon be back. */
async function each(
  letters: DeadLetters,
  filter: { readonly handler?: string },
  one: (id: string) => Promise<DeadLetter>,
): Promise<DeadLetter[]> {
  const done: DeadLetter[] = []
  const total = await letters.count()
  for (const { id } of await letters.list({ ...filter, limit: Math.max(total, PAGE) })) done.push(await one(id))
  return done
}

async function list(
  letters: DeadLetters,
  io: CommandIo,
  options: { readonly handler?: string; readonly limit: number; readonly json: boolean },
): Promise<number> {
  const found = await letters.list(options)
  for (const letter of found) {
    const { content: _, ...head } = letter
    io.out(options.json ? JSON.stringify(head) : line(letter))
  }
  if (!options.json) io.out(`${found.length} of ${await letters.count()} dead letters shown`)
  return EXIT.ok
}

function line({ id, handler, template, count, attempts, lastFailureAt, reason }: DeadLetter): string {
  const what = template === '' ? 'reports' : template
  const when = new Date(lastFailureAt).toISOString()
  return `${id}  ${handler}  ${what} x${count}  ${attempts} attempts, last ${when}: ${reason}`
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
