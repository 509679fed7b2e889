import { expect, it } from 'vitest'
import { RecordReports } from '../../../src/client/reports/record-reports.ts'
import { MapBag } from '../../../src/kernel/attribute-bag.ts'
import { createBatchIds } from '../../../src/kernel/batch-ids.ts'
import type { ReportBatch } from '../../../src/kernel/report.ts'
import { MIXER_REPORT } from '../../../src/wire/report-formats.ts'
import { FakeClock } from '../../helpers/clock.ts'

it('puts records of a program together, by number and time', async () => {
  const clock = new FakeClock()
  const batches: ReportBatch[] = []
  const accept = ((batch: ReportBatch) => void batches.push(batch)) as () => undefined
  const ids = createBatchIds({ nodeId: 'n', clock, random: Math.random })
  const reports = new RecordReports({ buffer: { accept }, clock, ids })
  for (let i = 0; i < 1_500; i++) reports.report(MapBag.of({ 'response.code': BigInt(i) }))
  expect(batches.map(({ count }) => count)).toEqual([1_000])
  await clock.advance(200)
  expect(batches.map(({ count, format }) => [count, format])).toEqual([
    [1_000, MIXER_REPORT.name],
    [500, MIXER_REPORT.name],
  ])
  const codes = batches.flatMap(({ payload }) => MIXER_REPORT.decode(payload, new Map()))
  expect(codes.map((bag) => bag.get('response.code'))).toEqual(Array.from({ length: 1_500 }, (_, i) => BigInt(i)))
  reports.report(MapBag.of({ x: 'y' }))
  reports.flush()
  expect(batches).toHaveLength(3)
  expect(clock.pending).toBe(0)
})
