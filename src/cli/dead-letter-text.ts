// A dead letter as people and scripts read it: what failed, where it was to go, and its records in plain JSON.

import { fieldToJson, type Json } from '../adapter-kit/value-text.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import { recordFormat, unpacked } from '../kernel/report.ts'
import { Duration } from '../kernel/time.ts'
import type { DeadLetter } from '../telemetry/dead-letters.ts'
import { batchFromJob } from '../telemetry/deliver-batch.ts'
import { parcelFromJob } from '../telemetry/parcel.ts'
import { REPORT_FORMATS } from '../wire/report-formats.ts'

/** What is in a letter. `problem` says why no more of it can be read. */
interface LetterRecords {
  readonly records: readonly Json[]
  readonly problem?: string
}

/** All about a letter but what is in it. */
export function headOf(letter: DeadLetter): Omit<DeadLetter, 'content'> {
  const { content: _, ...head } = letter
  return head
}

/** One line. @param now milliseconds since the epoch */
export function letterLine(letter: DeadLetter, now: number): string {
  const { id, handler, target, count, attempts, reason } = letter
  const where = target === undefined ? handler : `${handler} (${target})`
  const tries = counted(attempts, 'try', 'tries')
  return `${id}  ${where}  ${whatOf(letter)} x${count}  ${tries}, last ${ago(letter.lastFailureAt, now)}: ${reason}`
}

/** Everything, a fact a line, then a record a line. */
export function letterText(letter: DeadLetter, now: number): string {
  const { records, problem } = recordsOf(letter)
  const rows: [string, string | undefined][] = [
    ['handler', letter.handler],
    ['target', letter.target],
    ['holds', `${whatOf(letter)} x${letter.count}`],
    ['reason', letter.reason],
    ['tries', String(letter.attempts)],
    ['first failure', `${ago(letter.firstFailureAt, now)}, ${new Date(letter.firstFailureAt).toISOString()}`],
    ['last failure', `${ago(letter.lastFailureAt, now)}, ${new Date(letter.lastFailureAt).toISOString()}`],
    ['replayed', letter.replays === 0 ? 'never' : counted(letter.replays, 'time')],
    ['unreadable', problem],
  ]
  const facts = rows.flatMap(([name, value]) => (value === undefined ? [] : [`  ${name.padEnd(13)}  ${value}`]))
  return [letter.id, ...facts, ...records.map((record) => JSON.stringify(record))].join('\n')
}

/** Instances with their fields, attributes of reports, or what was added up of many instances. */
export function recordsOf({ content }: DeadLetter): LetterRecords {
  try {
    return content.kind === 'instances' ? instancesOf(content.job) : reportsOf(content.job)
  } catch (error) {
    return { records: [], problem: IntermixError.from(error).message }
  }
}

function instancesOf(job: unknown): LetterRecords {
  const { instances, aggregate } = batchFromJob(job)
  if (aggregate !== undefined) return { records: [aggregate as Json] }
  return { records: instances.map(({ name, fields }) => ({ name, fields: fieldToJson(fields) })) }
}

function reportsOf(job: unknown): LetterRecords {
  const records: Json[] = []
  const problems: string[] = []
  for (const batch of parcelFromJob(job).batches) {
    try {
      for (const { format, payload } of unpacked(batch, REPORT_FORMATS).batches) {
        const known = recordFormat(format, REPORT_FORMATS)
        if (known === undefined) throw new IntermixError('INVALID_REQUEST', `the format ${format} is not known here`)
        // Without a config there are no declared types: values come as the wire has them.
        records.push(...known.decode(payload, new Map()).map(attributesOf))
      }
    } catch (error) {
      problems.push(`${batch.id}: ${IntermixError.from(error).message}`)
    }
  }
  return problems.length === 0 ? { records } : { records, problem: problems.join('; ') }
}

function attributesOf(bag: AttributeBag): Json {
  const values = [...bag.names()].map((name): [string, Json | undefined] => {
    const value = bag.get(name)
    return [name, value === undefined ? undefined : fieldToJson(value)]
  })
  return Object.fromEntries(values.filter((entry): entry is [string, Json] => entry[1] !== undefined))
}

function whatOf({ template }: DeadLetter): string {
  return template === '' ? 'reports' : template
}

/** `3h12m5s ago` */
function ago(at: number, now: number): string {
  return `${new Duration(BigInt(Math.max(0, Math.round((now - at) / 1_000))) * 1_000_000_000n).toString()} ago`
}

/** `1 record`, `2 records` */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`
}
