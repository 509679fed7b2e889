// `intermix dead-letters`: shows what could not be delivered, and sends it again or drops it.

import { within } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import { connectRedis, type RedisLink, type RedisLinkOptions } from '../redis/connection.ts'
import { redactRedisUrl } from '../redis/redis-url.ts'
import { type DeadLetter, DeadLetters } from '../telemetry/dead-letters.ts'
import { RedisLedger } from '../telemetry/redis-ledger.ts'
import type { CommandPage } from './help.ts'
import { type CommandIo, EXIT } from './io.ts'
import { type OptionTable, type OptionValues, readOptions } from '../settings/options.ts'

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
} as const satisfies OptionTable

type Values = OptionValues<typeof OPTIONS>

const ACTIONS = ['list', 'show', 'replay', 'drop'] as const

type Action = (typeof ACTIONS)[number]

const CONNECT_MS = 3000
const PAGE = 1000

/** Help for `intermix dead-letters`. */
export const DEAD_LETTERS_PAGE: CommandPage = {
  usage: 'dead-letters (list | show ID | replay ID|--all | drop ID|--all) [flags]',
  summary: 'Show what could not be delivered to telemetry backends, send it again or drop it.',
  options: OPTIONS,
  notes: [
    'A replayed batch keeps its id, so that a backend which has seen it can tell. What is dropped is counted in the ledger.',
    'Exits with 0 when done, 1 when there is no such dead letter, 2 for wrong flags and 3 when Redis cannot be reached.',
  ],
  examples: [
    'intermix dead-letters list --handler statsd.handler.istio-system',
    'intermix dead-letters replay --all --handler statsd.handler.istio-system',
  ],
}

/** Ports of the connection that the command makes. */
export type DeadLettersDeps = Pick<RedisLinkOptions, 'clock' | 'random' | 'log' | 'meter'>

/** Runs `intermix dead-letters`. @returns the exit code. */
export async function runDeadLetters(args: readonly string[], io: CommandIo, deps: DeadLettersDeps): Promise<number> {
  const { values, positionals, problems } = readOptions(OPTIONS, args, io.env)
  const [word, id, ...rest] = positionals
  const action = ACTIONS.find((known) => known === word)
  const url = values.queueRedis ?? values.redis
  const found = [...problems, ...misuse({ word, action, id, rest, values })]
  if (url === undefined || url === 'none') found.push('--redis: give the URL of the Redis that holds the report queues')
  if (action === undefined || url === undefined || found.length > 0) {
    for (const problem of found) io.err(`intermix dead-letters: ${problem}`)
    return EXIT.usage
  }
  let link: RedisLink | undefined
  try {
    link = connectRedis({ url, role: 'queue', ...deps })
    await untilUp(link, url, deps)
    const prefix = values.redisPrefix
    const letters = new DeadLetters({ link, prefix, ledger: new RedisLedger(link, prefix) })
    const code = await act({ action, id, values, letters, io })
    await letters.close()
    return code
  } catch (error) {
    const { code, message } = IntermixError.from(error)
    io.err(`intermix dead-letters: ${message}`)
    return code === 'NOT_FOUND' ? EXIT.refused : EXIT.failed
  } finally {
    link?.close()
  }
}

interface Call {
  readonly word: string | undefined
  readonly action: Action | undefined
  readonly id: string | undefined
  readonly rest: readonly string[]
  readonly values: Values
}

function misuse({ word, action, id, rest, values }: Call): string[] {
  if (action === undefined) return [`${word ?? 'nothing'}: give one of ${ACTIONS.join(', ')}`]
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

async function untilUp(link: RedisLink, url: string, { clock }: DeadLettersDeps): Promise<void> {
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
