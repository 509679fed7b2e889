// `intermix explain`: asks a running node why it answers a check as it does.

import { IntermixError } from '../kernel/errors.ts'
import { ATTRIBUTE_OPTIONS, readAttributes, readPairs } from './attribute-arguments.ts'
import { defineTool } from './command.ts'
import { EXIT } from './io.ts'
import { ADMIN_OPTIONS, adminOf, adminRefusalText } from './node-client.ts'
import type { OptionTable } from '../settings/options.ts'
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

/** `intermix explain`. */
export const explain = defineTool({
  usage: '[-a NAME=VALUE …] [flags]',
  options: OPTIONS,
  notes: ['Prints JSON. Exits with 0 when explained, 2 for wrong flags and 3 when the node could not answer.'],
  examples: ['intermix explain -a destination.service.name=reviews -a source.ip=10.0.0.7'],
  read: ({ values }, problems) => ({ values, pairs: readPairs('-a', values.attribute, problems) }),
  async run({ values, pairs }, io) {
    const written = await readAttributes(values.attributes, io)
    const { admin, limit, rule } = values
    const query = new URLSearchParams({ limit: String(limit), ...(rule === undefined ? {} : { rule }) })
    const path = `/v1/explain?${query.toString()}`
    const answer = await createTypedCall(io, pairs)({ ...adminOf(values), path }, (attributes) => ({
      attributes: { ...written, ...attributes },
    }))
    if (answer.httpStatus >= 300) throw new IntermixError('BACKEND_FAILED', adminRefusalText(answer, admin))
    io.out(JSON.stringify(answer.body, undefined, 2))
    return EXIT.ok
  },
})
