// `intermix explain`: asks a running node why it answers a check as it does.

import { IntermixError } from '../kernel/errors.ts'
import { ATTRIBUTE_OPTIONS, readAttributes, readPairs } from './attribute-arguments.ts'
import type { CommandPage } from './help.ts'
import { type CommandIo, EXIT } from './io.ts'
import { ADMIN_OPTIONS, adminRefusalText } from './node-client.ts'
import { type OptionTable, readOptions } from '../settings/options.ts'
import { createTypedCall } from './typed-call.ts'

const OPTIONS = {
  ...ATTRIBUTE_OPTIONS,
  rule: { kind: 'text', env: false, placeholder: 'NAME', description: 'Explain one rule only, by its full name.' },
  limit: {
    kind: 'integer',
    default: 100,
    min: 1,
    max: 1_000,
    env: false,
    description: 'Most rules to show: candidates first, then others with what rules them out.',
  },
  ...ADMIN_OPTIONS,
} as const satisfies OptionTable

/** Help for `intermix explain`. */
export const EXPLAIN_PAGE: CommandPage = {
  usage: 'explain [-a NAME=VALUE …] [flags]',
  summary: 'Show which rules match a request and what each of them says.',
  options: OPTIONS,
  notes: ['Prints JSON. Exits with 0 when explained, 2 for wrong flags and 3 when the node could not answer.'],
  examples: ['intermix explain -a destination.service.name=reviews -a source.ip=10.0.0.7'],
}

/** Runs `intermix explain`. @returns the exit code. */
export async function runExplain(args: readonly string[], io: CommandIo): Promise<number> {
  const { values, positionals, problems } = readOptions(OPTIONS, args, io.env)
  const found = [
    ...problems,
    ...positionals.map((text) => `${text}: explain takes flags only; attributes are -a NAME=VALUE`),
  ]
  const pairs = readPairs('-a', values.attribute, found)
  if (found.length > 0) {
    for (const problem of found) io.err(`intermix explain: ${problem}`)
    return EXIT.usage
  }
  try {
    const written = await readAttributes(values.attributes, io)
    const { admin, timeoutMs, limit, rule } = values
    const query = new URLSearchParams({ limit: String(limit), ...(rule === undefined ? {} : { rule }) })
    const path = `/v1/explain?${query.toString()}`
    const answer = await createTypedCall(io, pairs)({ address: admin, timeoutMs, path }, (attributes) => ({
      attributes: { ...written, ...attributes },
    }))
    if (answer.httpStatus >= 300) {
      io.err(`intermix explain: ${adminRefusalText(answer, admin)}`)
      return EXIT.failed
    }
    io.out(JSON.stringify(answer.body, undefined, 2))
    return EXIT.ok
  } catch (error) {
    const { code, message } = IntermixError.from(error)
    io.err(`intermix explain: ${message}`)
    return code === 'INVALID_SETTING' ? EXIT.usage : EXIT.failed
  }
}
