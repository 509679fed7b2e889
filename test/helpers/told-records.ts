// Records that nodes were told, as objects that can be compared.
import type { AttributeBag } from '../../src/kernel/attribute-bag.ts'
import { formatIp } from '../../src/kernel/ip-address.ts'
import { type ReportBatch, unpacked } from '../../src/kernel/report.ts'
import { type AttributeValue, isStringMap } from '../../src/kernel/value.ts'
import { REPORT_FORMATS } from '../../src/wire/report-formats.ts'

export type ToldRecord = Readonly<Record<string, unknown>>

/** The records of batches that came in one format, alone or in calls. */
export function recordsOf(batches: readonly ReportBatch[], format: string): ToldRecord[] {
  const single = batches.flatMap((batch) =>
    batch.format.startsWith('report-call') ? unpacked(batch, REPORT_FORMATS).batches : [batch],
  )
  const known = REPORT_FORMATS.get(format)
  if (known === undefined || !('decode' in known)) throw new Error(`there are no reports of the format ${format}`)
  return single
    .filter((batch) => batch.format === format)
    .flatMap(({ payload }) => known.decode(payload, new Map()))
    .map(plainRecord)
}

export function plainRecord(bag: AttributeBag): ToldRecord {
  const names = [...bag.names()].toSorted()
  return Object.fromEntries(names.map((name) => [name, plain(bag.get(name) as AttributeValue)] as const))
}

function plain(value: AttributeValue): unknown {
  if (value instanceof Uint8Array) return formatIp(value)
  if (typeof value === 'object') return isStringMap(value) ? Object.fromEntries(value.entries()) : value.toString()
  return value
}
