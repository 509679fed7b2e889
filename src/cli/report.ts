// `intermix report`: sends reports to a running node, as a proxy would after its requests.

import { IntermixError } from '../kernel/errors.ts'
import { isJsonObject, type JsonObject } from '../kernel/json-object.ts'
import { ATTRIBUTE_OPTIONS, readJson, readPairs, readSource } from './attribute-arguments.ts'
import { defineTool } from './command.ts'
import { EXIT } from './io.ts'
import { NODE_OPTIONS, nodeOf, refusalText } from './node-client.ts'
import type { OptionTable } from '../settings/options.ts'
import { createTypedCall } from './typed-call.ts'

const OPTIONS = {
  ...ATTRIBUTE_OPTIONS,
  attributes: {
    ...ATTRIBUTE_OPTIONS.attributes,
    description:
      'Records as a JSON object, an array of objects or an object a line: in place, in a file, or on standard input. -a is added to each.',
  },
  repeat: {
    kind: 'integer',
    default: 1,
    min: 1,
    max: 1_000_000,
    short: 'r',
    env: false,
    description: 'Sends the records so many times.',
  },
  ...NODE_OPTIONS,
} as const satisfies OptionTable

/** Records in one request: far below what a node takes at once. */
const MAX_RECORDS = 1_000

/** `intermix report`. */
export const report = defineTool({
  usage: '[-a NAME=VALUE …] [flags]',
  options: OPTIONS,
  notes: ['Exits with 0 when the node took the records, 2 for wrong flags and 3 when it did not take them.'],
  examples: [
    'intermix report -a destination.service.name=reviews -a response.code=200 -a response.duration=12ms',
    'intermix report --attributes @records.ndjson',
  ],
  read({ values }, problems) {
    const pairs = readPairs('-a', values.attribute, problems)
    if (problems.length === 0 && values.attributes === undefined && pairs.size === 0) {
      problems.push('there is nothing to report; give -a NAME=VALUE or --attributes')
    }
    return { values, pairs }
  },
  async run({ values, pairs }, io) {
    const source = values.attributes
    const records = source === undefined ? [{}] : readRecords(await readSource('--attributes', source, io))
    const call = createTypedCall(io, pairs)
    const { repeat } = values
    for (let sent = 0; sent < records.length * repeat; sent += MAX_RECORDS) {
      const end = Math.min(sent + MAX_RECORDS, records.length * repeat)
      const batch = Array.from({ length: end - sent }, (_, i) => records[(sent + i) % records.length])
      const answer = await call({ ...nodeOf(values), path: '/v1/report' }, (attributes) => ({
        records: batch.map((record) => ({ ...record, ...attributes })),
      }))
      if (answer.httpStatus >= 300) {
        const before = sent === 0 ? '' : ` (${sent} records were accepted before)`
        throw new IntermixError('BACKEND_FAILED', `${refusalText(answer)}${before}`)
      }
    }
    const count = records.length * repeat
    io.out(`${count} ${count === 1 ? 'record' : 'records'} accepted`)
    return EXIT.ok
  },
})

function readRecords(text: string): readonly JsonObject[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  const ndjson = lines.length > 1 && lines.every((line) => /^\s*\{.*\}\s*$/.test(line))
  const value = ndjson
    ? lines.map((line, i) => readJson(`--attributes: line ${i + 1}`, line))
    : readJson('--attributes', text)
  const records = Array.isArray(value) ? value : [value]
  if (records.length > 0 && records.every(isJsonObject)) return records
  throw new IntermixError(
    'INVALID_SETTING',
    '--attributes: give a JSON object, an array of objects, or an object a line',
  )
}
