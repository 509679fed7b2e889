// `intermix quota`: which counters of quotas are used most, how one stands, and how to begin anew.

import { IntermixError } from '../kernel/errors.ts'
import { isJsonObject } from '../kernel/json-object.ts'
import type { QuotaAnswer, QuotaQuestion } from '../policy/quota-counters.ts'
import type { OptionTable, OptionValues } from '../settings/options.ts'
import { defineTool, pickAction } from './command.ts'
import { type CommandIo, EXIT } from './io.ts'
import { ADMIN_OPTIONS, adminOf, adminRefusalText, callNode } from './node-client.ts'
import { counterTable } from './quota-table.ts'

const OPTIONS = {
  handler: { kind: 'text', env: false, placeholder: 'NAME', description: 'top: only counters of this handler.' },
  by: {
    kind: 'choice',
    default: 'used',
    choices: ['used', 'refused', 'near'],
    env: false,
    description: 'top: asked for most, refused most, or nearest to the limit.',
  },
  limit: { kind: 'integer', default: 20, min: 1, max: 50, env: false, description: 'top: most counters to show.' },
  domain: {
    kind: 'text',
    env: false,
    placeholder: 'NAME',
    description: 'inspect, reset: rate limits of this domain, in place of a quota.',
  },
  all: {
    kind: 'boolean',
    default: false,
    env: false,
    description: 'reset: all counters of a handler, quota or domain.',
  },
  yes: { kind: 'boolean', default: false, env: false, description: 'reset --all: yes, all of them.' },
  json: { kind: 'boolean', default: false, env: false, description: 'One JSON object.' },
  ...ADMIN_OPTIONS,
} as const satisfies OptionTable

type Values = OptionValues<typeof OPTIONS>

const ACTIONS = {
  top: { usage: '', summary: 'The counters that matter most, in about the last minute.' },
  inspect: { usage: 'HANDLER QUOTA [NAME=VALUE …]', summary: 'One counter, by the values of its dimensions.' },
  reset: { usage: 'HANDLER QUOTA [NAME=VALUE …]', summary: 'Forget what was charged to it.' },
} as const

/** `intermix quota`. */
export const quota = defineTool({
  usage: '(top | inspect COUNTER | reset COUNTER|--all --yes) [flags]',
  options: OPTIONS,
  operands: true,
  actions: ACTIONS,
  notes: [
    'COUNTER is HANDLER QUOTA NAME=VALUE …, or --domain NAME with KEY=VALUE … of one descriptor, in order.',
    'Asks a node. With Redis any node answers for all of them; without it, it answers for its own processes. What other nodes hold ahead of need is spent within a second of a reset, and they refuse for a tenth of a second more.',
    'Exits with 0 when done, 1 when there is no such counter, 2 for wrong flags and 3 when the node could not answer.',
  ],
  examples: [
    'intermix quota top --by refused',
    'intermix quota inspect limits.handler.istio-system per-key key=alice',
    'intermix quota inspect --domain shop api_key=alice',
    'intermix quota reset limits.handler.istio-system per-key --all --yes',
  ],
  read({ values, positionals: [word, ...operands] }, problems) {
    const action = pickAction(ACTIONS, word, problems)
    const question = action && questionOf(action, operands, values, problems)
    return question && { question, values }
  },
  async run({ question, values }, io) {
    const answer = await ask(io, values, question)
    if (values.json) io.out(JSON.stringify(answer))
    else for (const line of counterTable(answer)) io.out(line)
    return EXIT.ok
  },
})

function questionOf(
  action: keyof typeof ACTIONS,
  operands: readonly string[],
  values: Values,
  problems: string[],
): QuotaQuestion | undefined {
  const { by, limit, handler, domain, all, yes } = values
  if (action === 'top') {
    problems.push(...operands.map((text) => `${text}: top takes flags only; --handler says of which handler`))
    return { action, by, limit, handler }
  }
  if (handler !== undefined) problems.push(`--handler: goes with top; ${action} takes the handler as first argument`)
  if (all) {
    if (action !== 'reset') problems.push(`--all: goes with reset, not with ${action}`)
    if (!yes) problems.push('--all: forgets what was charged to every counter; give --yes, too')
    if (domain !== undefined) {
      problems.push(...operands.map((text) => `${text}: --domain with --all takes no further argument`))
      return { action: 'resetAll', domain }
    }
    const [of, name, ...more] = operands
    problems.push(...more.map((text) => `${text}: --all takes a handler and a quota at most`))
    if (of !== undefined) return { action: 'resetAll', handler: of, quota: name }
    problems.push('--all: say of which HANDLER, or --domain')
    return undefined
  }
  if (domain !== undefined) {
    const entries = pairsOf(operands, problems).map(([key, value]) => ({ key, value }))
    if (entries.length === 0) problems.push('--domain: give KEY=VALUE, for each entry of the descriptor')
    return { action, counter: { domain, entries } }
  }
  const [of, name, ...pairs] = operands
  const dimensions = Object.fromEntries(pairsOf(pairs, problems))
  if (of !== undefined && name !== undefined) return { action, counter: { handler: of, quota: name, dimensions } }
  problems.push(`${action}: give HANDLER QUOTA NAME=VALUE …, or --domain NAME KEY=VALUE …; top shows them`)
  return undefined
}

function pairsOf(texts: readonly string[], problems: string[]): [name: string, value: string][] {
  return texts.map((text) => {
    const at = text.indexOf('=')
    if (at < 1) problems.push(`${text}: give NAME=VALUE`)
    return [text.slice(0, at), text.slice(at + 1)]
  })
}

async function ask(io: CommandIo, values: Values, body: QuotaQuestion): Promise<QuotaAnswer> {
  const answer = await callNode(io, { ...adminOf(values), path: '/v1/quotas', body })
  const { httpStatus } = answer
  if (httpStatus < 300) return answer.body as unknown as QuotaAnswer
  const isAnswer = isJsonObject(answer.body['error'])
  const code =
    httpStatus === 404 && isAnswer ? 'NOT_FOUND' : httpStatus === 400 && isAnswer ? 'INVALID_SETTING' : 'BACKEND_FAILED'
  throw new IntermixError(code, adminRefusalText(answer, values.admin))
}
