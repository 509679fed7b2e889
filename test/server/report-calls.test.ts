import { gzipSync } from 'node:zlib'
import { type Client, type ServiceError, status as grpcStatus } from '@grpc/grpc-js'
import { beforeEach, describe, expect, it } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import { unpacked } from '../../src/kernel/report.ts'
import { mayComeAgain, nameOf } from '../../src/telemetry/call-names.ts'
import { processOf } from '../../src/telemetry/parcel.ts'
import { REPORT_FORMATS } from '../../src/wire/report-formats.ts'
import { encodeDropped, encodeReportCall } from '../../src/wire/reports/report-call.ts'
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

  it('are refused where they cannot be read, and later where there is no room', async () => {
    const INVALID = grpcStatus.INVALID_ARGUMENT
    await expect(report(callOf([{ format: 'no-such', count: 1, text: '' }]))).rejects.toMatchObject({ code: INVALID })
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
