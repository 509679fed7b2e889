// `intermix check`: asks a running node, as a proxy would, and shows the answer with its tier, age and validity.

import { IntermixError } from '../kernel/errors.ts'
import type { JsonObject } from '../kernel/json-object.ts'
import { answerLine, answerText, isAllowed, isAnswer } from './answer-text.ts'
import { ATTRIBUTE_OPTIONS, readAttributes, readPairs } from './attribute-arguments.ts'
import { defineTool } from './command.ts'
import { type CommandIo, EXIT } from './io.ts'
import { NODE_OPTIONS, type NodeAnswer, nodeOf, type NodeRequest, refusalText } from './node-client.ts'
import type { OptionTable, OptionValues } from '../settings/options.ts'
import { createTypedCall } from './typed-call.ts'

const OPTIONS = {
  ...ATTRIBUTE_OPTIONS,
  quota: {
    kind: 'texts',
    default: [],
    short: 'q',
    env: false,
    placeholder: 'NAME=AMOUNT',
    description: 'A quota to take with the check; may be repeated.',
  },
  bestEffort: {
    kind: 'boolean',
    default: false,
    env: false,
    description: 'Take a part of a quota where all of it is not left.',
  },
  deduplicationId: {
    kind: 'text',
    env: false,
    description: 'Name of this call: with the same one, quotas are charged once.',
  },
  repeat: {
    kind: 'integer',
    default: 1,
    min: 1,
    max: 1_000_000,
    short: 'r',
    env: false,
    description: 'Asks so many times, one after the other.',
  },
  json: { kind: 'boolean', default: false, env: false, description: 'Print answers as JSON, one a line.' },
  ...NODE_OPTIONS,
} as const satisfies OptionTable

/** `intermix check`; with `--repeat`, the worst answer decides the exit code. */
export const check = defineTool({
  usage: '[-a NAME=VALUE …] [flags]',
  options: OPTIONS,
  notes: ['Exits with 0 when allowed, 1 when denied, 2 for wrong flags and 3 when the node could not answer.'],
  examples: [
    'intermix check -a destination.service.name=reviews -a source.ip=10.0.0.7',
    'intermix check --attributes @request.json --quota requestcount=1 --repeat 3',
  ],
  read({ values, given }, problems) {
    const pairs = readPairs('-a', values.attribute, problems)
    return { values, pairs, quotas: readQuotas(values, problems), timeoutGiven: given.has('timeoutMs') }
  },
  async run({ values, pairs, quotas, timeoutGiven }, io) {
    const written = await readAttributes(values.attributes, io)
    const { deduplicationId, timeoutMs } = values
    const rest = {
      ...quotas,
      ...(deduplicationId === undefined ? {} : { deduplicationId }),
      // The node has a deadline of its own for who names none.
      ...(timeoutGiven ? { timeoutMs } : {}),
    }
    const makeBody = (attributes: JsonObject) => ({ attributes: { ...written, ...attributes }, ...rest })
    const call = createTypedCall(io, pairs)
    return await ask(async (request) => await call(request, makeBody), values, io)
  },
})

type Values = OptionValues<typeof OPTIONS>

type Call = (request: Omit<NodeRequest, 'body'>) => Promise<NodeAnswer>

async function ask(call: Call, values: Values, io: CommandIo): Promise<number> {
  let worst: number = EXIT.ok
  for (let i = 1; i <= values.repeat; i++) {
    const answer = await call({ ...nodeOf(values), path: '/v1/check' })
    if (!isAnswer(answer.body)) throw new IntermixError('BACKEND_FAILED', refusalText(answer))
    if (values.json) io.out(JSON.stringify(answer.body))
    else io.out(values.repeat === 1 ? answerText(answer.body) : `${i}: ${answerLine(answer.body)}`)
    if (!isAllowed(answer.body)) worst = EXIT.refused
  }
  return worst
}

function readQuotas(values: Values, problems: string[]): JsonObject {
  const { bestEffort } = values
  const quotas: Record<string, unknown> = {}
  for (const [name, text] of readPairs('--quota', values.quota, problems)) {
    const amount = Number(text)
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(amount)) {
      problems.push(`--quota: "${name}=${text}" does not fit; give NAME=AMOUNT with a whole amount`)
    } else quotas[name] = { amount, bestEffort }
  }
  return Object.keys(quotas).length === 0 ? {} : { quotas }
}
