import { describe, expect, it } from 'vitest'
import type { AttributeBag } from '../../src/kernel/attribute-bag.ts'
import type { Random } from '../../src/kernel/ports.ts'
import { expandParcel } from '../../src/telemetry/expand.ts'
import { parcelOf } from '../../src/telemetry/parcel.ts'
import { REPORT_FORMATS } from '../../src/wire/report-formats.ts'
import { batchTo, dispatchByName, jsonFormats, snapshotOf } from '../workers/support.ts'

describe('expandParcel', () => {
  it('fails the batches of a format that it does not know, and names the formats that it does', async () => {
    const snapshot = snapshotOf(['a'])
    const known = batchTo('a', 2)
    const foreign = { ...batchTo('a', 3), format: 'otlp' }
    const { batches, failed } = await expandParcel(parcelOf([foreign, known]), {
      formats: jsonFormats,
      vocabulary: snapshot.vocabulary,
      dispatch: dispatchByName(snapshot),
    })
    expect(batches.map(({ instances }) => instances.length)).toEqual([2])
    expect(failed.map(({ batch }) => batch)).toEqual([foreign])
    expect(failed[0]?.reason).toMatch(/"otlp".*only attributes/)
  })

  it('samples the same records whenever a parcel is evaluated again', async () => {
    const snapshot = snapshotOf(['a'])
    const { vocabulary } = snapshot
    const sampled = async (id: string) => {
      const dispatch = (bag: AttributeBag, random: Random) =>
        random() < 0.5 ? dispatchByName(snapshot)(bag, random) : []
      const parcel = parcelOf([batchTo('a', 1_000)], id)
      const { batches } = await expandParcel(parcel, { formats: jsonFormats, vocabulary, dispatch })
      return batches.flatMap(({ instances }) => instances.map(({ fields }) => fields['dimensions']))
    }
    const [first, again, other] = [await sampled('p-1'), await sampled('p-1'), await sampled('p-2')]
    expect(again).toEqual(first)
    expect(other).not.toEqual(first)
    expect(first.length).toBeGreaterThan(400)
    expect(first.length).toBeLessThan(600)
  })
})

describe('the formats of reports', () => {
  it('keep their names, which lie in queues and on disks', () => {
    expect([...REPORT_FORMATS.keys()].sort()).toEqual([
      'attributes',
      'envoy-als',
      'mixer-report',
      'report-call',
      'report-call-logs',
    ])
    for (const [name, format] of REPORT_FORMATS) expect(format.name).toBe(name)
  })
})
