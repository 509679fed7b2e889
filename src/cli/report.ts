// `intermix report`: sends reports to a running node, as a proxy would after its requests.

import { IntermixError } from '../kernel/errors.ts'
import { isJsonObject, type JsonObject } from '../kernel/json-object.ts'
import { ATTRIBUTE_OPTIONS, readJson, readPairs, readSource } from './attribute-arguments.ts'
import type { CommandPage } from './help.ts'
import { type CommandIo, EXIT } from './io.ts'
import { NODE_OPTIONS, refusalText } from './node-client.ts'
import { type OptionTable, readOptions } from '../settings/options.ts'
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

/** Help for `intermix report`. */
export const REPORT_PAGE: CommandPage = {
  usage: 'report [-a NAME=VALUE …] [flags]',
  summary: 'Send reports of requests to a running node.',
  options: OPTIONS,
  notes: ['Exits with 0 when the node took the records, 2 for wrong flags and 3 when it did not take them.'],
  examples: [
    'intermix report -a destination.service.name=reviews -a response.code=200 -a response.duration=12ms',
    'intermix report --attributes @records.ndjson',
  ],
}

/** Runs `intermix report`. @returns the exit code. */
export async function runReport(args: readonly string[], io: CommandIo): Promise<number> {
  const { values, positionals, problems } = readOptions(OPTIONS, args, io.env)
  const found = [
    ...problems,
    ...positionals.map((text) => `${text}: report takes flags only; attributes are -a NAME=VALUE`),
  ]
  const pairs = readPairs('-a', values.attribute, found)
  if (found.length === 0 && values.attributes === undefined && pairs.size === 0) {
    found.push('there is nothing to report; give -a NAME=VALUE or --attributes')
  }
  if (found.length > 0) {
    for (const problem of found) io.err(`intermix report: ${problem}`)
    return EXIT.usage
  }
  try {
    const source = values.attributes
    const records = source === undefined ? [{}] : readRecords(await readSource('--attributes', source, io))
    const call = createTypedCall(io, pairs)
    const { address, timeoutMs, repeat } = values
    for (let sent = 0; sent < records.length * repeat; sent += MAX_RECORDS) {
      const end = Math.min(sent + MAX_RECORDS, records.length * repeat)
      const batch = Array.from({ length: end - sent }, (_, i) => records[(sent + i) % records.length])
      const answer = await call({ address, timeoutMs, path: '/v1/report' }, (attributes) => ({
        records: batch.map((record) => ({ ...record, ...attributes })),
      }))
      if (answer.httpStatus >= 300) {
        io.err(`intermix report: ${refusalText(answer)}${sent === 0 ? '' : ` (${sent} records were accepted before)`}`)
        return EXIT.failed
      }
    }
    const count = records.length * repeat
    io.out(`${count} ${count === 1 ? 'record' : 'records'} accepted`)
    return EXIT.ok
  } catch (error) {
    const { code, message } = IntermixError.from(error)
    io.err(`intermix report: ${message}`)
    return code === 'INVALID_SETTING' ? EXIT.usage : EXIT.failed
  }
}

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
