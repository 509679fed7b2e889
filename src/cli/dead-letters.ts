// `intermix dead-letters`: shows what could not be delivered, and sends it again or drops it.

import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import { DeadLetters, type LetterFilter } from '../telemetry/dead-letters.ts'
import { meshPrefix } from '../telemetry/queue-names.ts'
import { RedisLedger } from '../telemetry/redis-ledger.ts'
import { defineTool, pickAction } from './command.ts'
import { counted, headOf, letterLine, letterText, recordsOf } from './dead-letter-text.ts'
import { type CommandIo, EXIT } from './io.ts'
import { overQueueLink } from './queue-link.ts'
import { pickRedis, QUEUE_REDIS_SETTINGS, signInProblems } from '../settings/redis-settings.ts'
import { type OptionTable, type OptionValues, showArgument } from '../settings/options.ts'

/** How many are listed unless told. */
const LISTED = 100

const OPTIONS = {
  handler: {
    kind: 'text',
    env: false,
    placeholder: 'NAME',
    description:
      'Only those of one handler, by its full name or its name alone; fan-out for reports that could not be read.',
  },
  template: { kind: 'text', env: false, placeholder: 'NAME', description: 'Only those of one template.' },
  reason: {
    kind: 'text',
    env: false,
    placeholder: 'TEXT',
    description: 'Only those whose reason contains the text, whatever its case.',
  },
  olderThanMs: {
    kind: 'duration',
    min: 1,
    env: false,
    description: 'Only those whose last failure is longer ago.',
  },
  newerThanMs: {
    kind: 'duration',
    min: 1,
    env: false,
    description: 'Only those whose last failure is not as long ago.',
  },
  all: { kind: 'boolean', default: false, env: false, description: 'Replay or drop all that the other flags leave.' },
  limit: {
    kind: 'integer',
    min: 1,
    max: 100_000,
    env: false,
    description: 'How many at most, oldest first.',
    defaultText: `list: ${LISTED}; replay and drop: all`,
  },
  json: { kind: 'boolean', default: false, env: false, description: 'One JSON object a line.' },
  ...QUEUE_REDIS_SETTINGS,
} as const satisfies OptionTable

type Values = OptionValues<typeof OPTIONS>

const FILTERS = [
  ['--handler', 'handler'],
  ['--template', 'template'],
  ['--reason', 'reason'],
  ['--older-than', 'olderThanMs'],
  ['--newer-than', 'newerThanMs'],
  ['--limit', 'limit'],
] as const

const ACTIONS = {
  list: { usage: '', summary: 'List them, oldest first.' },
  show: { usage: 'ID', summary: 'Show one with its records.' },
  replay: { usage: 'ID|--all', summary: 'Send one or all again.' },
  drop: { usage: 'ID|--all', summary: 'Drop one or all.' },
} as const

type Action = keyof typeof ACTIONS

/** Letters between two lines that say how far it has got. */
const TELL_EVERY = 500

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
    'intermix dead-letters replay --all --handler statsd.handler.istio-system --reason "HTTP 401"',
    'intermix dead-letters drop --all --older-than 72h',
  ],
  read({ values, given, positionals: [word, id, ...rest] }, problems) {
    const action = pickAction(ACTIONS, word, problems)
    if (action !== undefined) problems.push(...misuse({ action, id, rest, values }))
    problems.push(...signInProblems(values, (key) => given.get(key as keyof typeof OPTIONS) === 'flag'))
    const access = pickRedis(values).queueRedis
    if (access !== undefined) return action === undefined ? undefined : { action, id, values, access }
    problems.push('--redis: give the URL of the Redis that holds the report queues')
    return undefined
  },
  async run({ access, ...task }, io) {
    return await overQueueLink(access, io, async (link) => {
      const prefix = meshPrefix(task.values.redisPrefix, task.values.mesh)
      const letters = new DeadLetters({ link, prefix, ledger: new RedisLedger(link, prefix) })
      const code = await act({ ...task, letters, io })
      await letters.close()
      return code
    })
  },
})

interface Call {
  readonly action: Action
  readonly id: string | undefined
  readonly rest: readonly string[]
  readonly values: Values
}

function misuse({ action, id, rest, values }: Call): string[] {
  const found = rest.map((text) => `${showArgument(text)}: ${action} takes no further argument`)
  const filters = FILTERS.filter(([, key]) => values[key] !== undefined).map(([flag]) => flag)
  const choosesOne = action !== 'list' && id !== undefined
  if (action === 'list' && id !== undefined) found.push(`${showArgument(id)}: list takes flags only; use show for one`)
  if (action === 'show' && id === undefined) found.push('show: give the ID that list shows')
  if (action === 'replay' || action === 'drop') {
    if (values.all === (id !== undefined)) found.push(`${action}: give either an ID or --all`)
  } else if (values.all) {
    found.push(`--all: goes with replay and drop, not with ${action}`)
  }
  const { olderThanMs, newerThanMs } = values
  if (olderThanMs !== undefined && newerThanMs !== undefined && olderThanMs >= newerThanMs)
    found.push('--older-than, --newer-than: nothing is both; give --newer-than the longer time')
  if (choosesOne && filters.length > 0) found.push(`${filters.join(', ')}: goes with list or --all, not with an ID`)
  return found
}

interface Task {
  readonly action: Action
  readonly id: string | undefined
  readonly values: Values
  readonly letters: DeadLetters
  readonly io: CommandIo
}

async function act(task: Task): Promise<number> {
  if (task.action === 'list') return await list(task)
  if (task.action === 'show') return await show(task)
  return await settle(task, task.action)
}

async function list({ values, letters, io }: Task): Promise<number> {
  const limit = values.limit ?? LISTED
  let shown = 0
  for await (const letter of letters.matching(filterOf(values, io.clock))) {
    io.out(values.json ? JSON.stringify(headOf(letter)) : letterLine(letter, io.clock.now()))
    if (++shown >= limit) break
  }
  if (!values.json) io.out(`${shown} of ${await letters.count()} dead letters shown`)
  return EXIT.ok
}

async function show({ id = '', values, letters, io }: Task): Promise<number> {
  const letter = await letters.get(id)
  if (letter === undefined) throw new IntermixError('NOT_FOUND', `there is no dead letter '${id}'`)
  const { records, problem } = recordsOf(letter)
  if (values.json) io.out(JSON.stringify({ ...headOf(letter), records, ...(problem === undefined ? {} : { problem }) }))
  else io.out(letterText(letter, io.clock.now()))
  return EXIT.ok
}

/** Replays or drops one, or all that are meant of those that are there at the start: a replayed one may soon be back. */
async function settle({ id, values, letters, io }: Task, action: 'replay' | 'drop'): Promise<number> {
  const verb = action === 'replay' ? 'replayed' : 'dropped'
  const done = { letters: 0, records: 0 }
  const summary = () => `${verb} ${counted(done.letters, 'dead letter')} with ${counted(done.records, 'record')}`
  const one = async (letter: string) => {
    const settled = await (action === 'replay' ? letters.replay(letter) : letters.drop(letter))
    done.letters++
    done.records += settled.count
    if (values.json) io.out(JSON.stringify({ action: verb, ...headOf(settled) }))
  }
  if (id === undefined) {
    let next = TELL_EVERY
    const tell = (looked: number, total: number) => {
      if (looked < next) return
      next = looked + TELL_EVERY
      io.err(`looked at ${looked} of ${total}: ${summary()}`)
    }
    try {
      for await (const letter of letters.matching(filterOf(values, io.clock), tell)) {
        await one(letter.id).catch(unlessGone)
        if (done.letters === values.limit) break
      }
    } catch (error) {
      const { code, message } = IntermixError.from(error)
      throw new IntermixError(code, `${message}; before that, it ${summary()}`, { cause: error })
    }
  } else {
    await one(id)
  }
  if (!values.json) io.out(summary())
  return EXIT.ok
}

/** Somebody else was faster with this one. */
function unlessGone(error: unknown): void {
  if (IntermixError.from(error).code !== 'NOT_FOUND') throw error
}

function filterOf({ handler, template, reason, olderThanMs, newerThanMs }: Values, clock: Clock): LetterFilter {
  const ago = (ms: number | undefined) => (ms === undefined ? undefined : clock.now() - ms)
  return { handler, template, reason, before: ago(olderThanMs), after: ago(newerThanMs) }
}
