// `intermix cache`: what the node's own cache would find with more memory and with less, and how memory is divided.

import { IntermixError } from '../kernel/errors.ts'
import { isJsonObject, type JsonObject } from '../kernel/json-object.ts'
import type { OptionTable } from '../settings/options.ts'
import { cacheTables, type NodeTuning } from './cache-tables.ts'
import { defineTool } from './command.ts'
import { EXIT } from './io.ts'
import { ADMIN_OPTIONS, adminOf, adminRefusalText, callNode } from './node-client.ts'

const OPTIONS = {
  curves: { kind: 'boolean', default: false, env: false, description: 'Hit ratios by size, of each cache.' },
  json: { kind: 'boolean', default: false, env: false, description: 'One JSON object.' },
  ...ADMIN_OPTIONS,
} as const satisfies OptionTable

/** `intermix cache`. */
export const cache = defineTool({
  usage: '[flags]',
  options: OPTIONS,
  notes: [
    'Asks one node; of several processes each tells of itself. Memory is divided unless --cache-max-bytes or --cache-max-entries fixed it.',
    'Validities are suggested and never applied: with the one that is suggested, an answer of a thousand is outdated.',
    'Exits with 0 when done, 2 for wrong flags and 3 when the node could not answer.',
  ],
  examples: ['intermix cache', 'intermix cache --curves', 'intermix cache --json --admin http://10.0.0.7:15014'],
  read: ({ values }) => values,
  async run({ json, curves, ...node }, io) {
    const answer = await callNode(io, { ...adminOf(node), path: '/debug/tuning' })
    if (answer.httpStatus >= 300) throw new IntermixError('BACKEND_FAILED', adminRefusalText(answer, node.admin))
    if (json) io.out(JSON.stringify(answer.body))
    else
      for (const [name, tuning] of processesOf(answer.body))
        for (const line of cacheTables(name, tuning, curves)) io.out(line)
    return EXIT.ok
  },
})

/** What each process tells; one alone has no name. */
function processesOf(body: JsonObject): readonly (readonly [name: string, NodeTuning])[] {
  const { processes } = body
  if (!isJsonObject(processes)) return [['', body]]
  return Object.entries(processes).flatMap(([name, view]) => {
    return isJsonObject(view) ? [[name, view] as const] : []
  })
}
