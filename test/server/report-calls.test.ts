import { gzipSync } from 'node:zlib'
import { type Client, type ServiceError, status as grpcStatus } from '@grpc/grpc-js'
import { beforeEach, describe, expect, it } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import { unpacked } from '../../src/kernel/report.ts'
import { mayComeAgain, nameOf } from '../../src/telemetry/call-names.ts'
import { processOf } from '../../src/telemetry/parcel.ts'
import { REPORT_FORMATS } from '../../src/wire/report-formats.ts'
import { encodeDropped, encodeReportCall } from '../../src/wire/reports/report-call.ts'
import { WireWriter } from '../../src/wire/wire-writer.ts'
import { dependencies, served } from './fixtures.ts'
import { serveGrpc } from './grpc-client.ts'

const PATH = '/intermix.v1.Reports/Report'

function callOf(parts: readonly { format: string; count: number; text: string }[], id = 'sidecar-1'): Buffer {
  const payloads = gzipSync(parts.map(({ text }) => text).join(''))
  const sized = parts.map(({ format, count, text }) => ({
    format,
    count,
    size: Buffer.byteLength(text),
    acceptedAt: 5,
  }))
  return encodeReportCall({ id, sender: 's', parts: sized, isCompressed: true, payloads })
}

describe('calls of reports', () => {
  let given: ReturnType<typeof dependencies>
  let client: Client

  beforeEach(async () => {
    given = dependencies()
    ;({ client } = await serveGrpc(served(given)))
  })

  const report = (message: Buffer) =>
    new Promise<Buffer>((resolve, reject) => {
      const bytes = (each: Buffer) => each
      client.makeUnaryRequest(PATH, bytes, bytes, message, (error: ServiceError | null, reply?: Buffer) => {
        if (error === null) resolve(reply ?? Buffer.alloc(0))
        else reject(error)
      })
    })

  it('become one batch of this process, with what was dropped, as they came', async () => {
    const parts = [
      { format: 'attributes', count: 3, text: '[]' },
      { format: 'envoy-als', count: 2, text: 'abc' },
    ]
    const dropped = encodeDropped([{ reason: 'full', count: 7 }])
    const asked: string[] = []
    given.report.decide = (_, ack) => void asked.push(ack)
    expect(await report(Buffer.concat([callOf(parts), dropped]))).toHaveLength(0)
    const [batch] = given.report.batches
    if (batch === undefined) throw new Error('nothing was taken')
    expect(batch).toMatchObject({ format: 'report-call', count: 12 })
    expect(asked).toEqual(['queued'])
    expect(processOf(batch.id)).toBe(processOf(given.nextBatchId()))
    const { batches, dropped: lost } = unpacked(batch, REPORT_FORMATS)
    expect(batches.map(({ format, count, payload }) => [format, count, Buffer.from(payload).toString()])).toEqual([
      ['attributes', 3, '[]'],
      ['envoy-als', 2, 'abc'],
    ])
    expect(lost).toEqual([{ reason: 'full', count: 7 }])
    expect(given.meter.counts.get('sidecar_records_total{}')).toBe(5)
    expect(given.meter.counts.get('sidecar_dropped_total{full}')).toBe(7)
  })

  it('have the same name whenever they come, and another id each time', async () => {
    for (const id of ['x', 'x', 'y']) await report(callOf([{ format: 'attributes', count: 1, text: '[]' }], id))
    const ids = given.report.batches.map(({ id }) => id)
    expect(new Set(ids).size).toBe(3)
    expect(ids.every(mayComeAgain)).toBe(true)
    expect(mayComeAgain(given.nextBatchId())).toBe(false)
    const [first, again, other] = ids.map((id) => nameOf({ id, replays: 0 }))
    expect(first).toBe(again)
    expect(other).not.toBe(first)
  })

  it('give way where all of their parts do', async () => {
    await report(callOf([{ format: 'envoy-als', count: 1, text: 'a' }]))
    await report(callOf([]))
    expect(given.report.batches.map(({ format }) => format)).toEqual(['report-call-logs'])
    expect(REPORT_FORMATS.get('report-call-logs')?.sparable).toBe(true)
  })

  it('are taken with what a newer version has put into them', async () => {
    const parts = [
      { format: 'no-such', count: 5, text: 'new' },
      { format: 'envoy-als', count: 2, text: 'abc' },
    ]
    await report(callOf(parts))
    const [batch] = given.report.batches
    if (batch === undefined) throw new Error('nothing was taken')
    // What nobody here knows does not give way to others.
    expect(batch).toMatchObject({ format: 'report-call', count: 7 })
    expect(unpacked(batch, REPORT_FORMATS).batches.map(({ format, count }) => [format, count])).toEqual([
      ['no-such', 5],
      ['envoy-als', 2],
    ])
    expect(given.meter.counts.get('sidecar_records_total{}')).toBe(7)
    expect(given.meter.counts.get('sidecar_unknown_records_total{}')).toBe(5)
    // Compressed in a way that workers may know, with a field, a reason and a field of a part that none here has.
    const writer = new WireWriter()
    writer.text(1, 'call-9')
    const part = writer.open(3)
    writer.text(1, 'attributes')
    writer.uint(2, 3)
    writer.uint(3, 70)
    writer.text(15, 'new')
    writer.close(part)
    writer.uint(4, 2)
    writer.text(5, 'squeezed')
    const lost = writer.open(6)
    writer.uint(1, 9)
    writer.uint(2, 4)
    writer.close(lost)
    writer.text(15, 'new')
    await report(writer.take())
    const [, newer] = given.report.batches
    expect(newer).toMatchObject({ format: 'report-call', count: 7 })
    expect(given.meter.counts.get('sidecar_dropped_total{other}')).toBe(4)
    expect(() => newer && unpacked(newer, REPORT_FORMATS)).toThrow('compressed in a way that is not known')
  })

  it('are refused where they cannot be read, and later where there is no room', async () => {
    const INVALID = grpcStatus.INVALID_ARGUMENT
    // A call in a call would be inflated again.
    await expect(report(callOf([{ format: 'report-call', count: 1, text: '' }]))).rejects.toMatchObject({
      code: INVALID,
    })
    await expect(report(callOf([], 'a b'))).rejects.toMatchObject({ code: INVALID })
    await expect(report(Buffer.from([255]))).rejects.toMatchObject({ code: INVALID })
    // What counters of the whole mesh would not hold.
    const lost = (count: number) => report(Buffer.concat([callOf([]), encodeDropped([{ reason: 'full', count }])]))
    await expect(lost(Number.MAX_SAFE_INTEGER)).rejects.toMatchObject({ code: INVALID })
    await expect(lost(1_000_000_001)).rejects.toMatchObject({ code: INVALID })
    given.report.decide = async () => new IntermixError('OVERLOADED', 'no room')
    const one = callOf([{ format: 'attributes', count: 1, text: '[]' }])
    await expect(report(one)).rejects.toMatchObject({ code: grpcStatus.UNAVAILABLE, details: 'no room' })
    expect(given.report.batches).toEqual([])
  })
})
