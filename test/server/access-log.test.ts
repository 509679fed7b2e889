import { create, toBinary } from '@bufbuild/protobuf'
import { type Client, type ClientWritableStream, status as grpcStatus, type ServiceError } from '@grpc/grpc-js'
import { beforeEach, describe, expect, it } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import { accessLogService } from '../../src/server/access-log.ts'
import type { GrpcServer } from '../../src/server/grpc-server.ts'
import { decodeAccessLog } from '../../src/wire/envoy-access-log.ts'
import { StreamAccessLogsMessageSchema } from '../../src/wire/generated/envoy/service/accesslog/v3/als_pb.ts'
import { usedHeap } from '../helpers/used-heap.ts'
import { handAdmission, overload } from './admission-support.ts'
import { dependencies, served } from './fixtures.ts'
import { serveGrpc } from './grpc-client.ts'

const PATH = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs'

function httpLogs(paths: readonly string[], node?: string): Buffer {
  return Buffer.from(
    toBinary(
      StreamAccessLogsMessageSchema,
      create(StreamAccessLogsMessageSchema, {
        ...(node === undefined ? {} : { identifier: { node: { id: node }, logName: 'mixer' } }),
        logEntries: { case: 'httpLogs', value: { logEntry: paths.map((path) => ({ request: { path } })) } },
      }),
    ),
  )
}

describe('the access log service', () => {
  let given: ReturnType<typeof dependencies>
  let server: GrpcServer
  let client: Client

  beforeEach(async () => {
    given = dependencies()
    ;({ server, client } = await serveGrpc(served(given)))
  })

  interface OpenStream {
    readonly stream: ClientWritableStream<Buffer>
    readonly ended: Promise<ServiceError | null>
  }

  function open(): OpenStream {
    let end: (error: ServiceError | null) => void
    const ended = new Promise<ServiceError | null>((resolve) => {
      end = resolve
    })
    const stream = client.makeClientStreamRequest<Buffer, Buffer>(
      PATH,
      (bytes) => bytes,
      (bytes) => bytes,
      (error) => end(error),
    )
    return { stream, ended }
  }

  it('makes a batch of each message, with the identifier of the first on all', async () => {
    const { stream, ended } = open()
    stream.write(httpLogs(['/a', '/b'], 'proxy-1'))
    stream.write(httpLogs(['/c']))
    stream.write(httpLogs([]))
    stream.end()
    expect(await ended).toBeNull()
    const { batches } = given.report
    expect(batches.map(({ format, count }) => [format, count])).toEqual([
      ['envoy-als', 2],
      ['envoy-als', 1],
    ])
    expect(new Set(batches.map(({ id }) => id)).size).toBe(2)
    for (const { id } of batches) expect(id).toMatch(/^node-a-[a-z0-9]+-[a-z0-9]+$/)
    const bags = batches.flatMap(({ payload }) => decodeAccessLog(payload))
    expect(bags.map((bag) => bag.get('request.path'))).toEqual(['/a', '/b', '/c'])
    expect(bags.map((bag) => bag.get('context.reporter.uid'))).toEqual(['proxy-1', 'proxy-1', 'proxy-1'])
    expect(given.meter.counts.get('access_log_entries_total{}')).toBe(3)
  })

  it('keeps the identifiers of two streams apart', async () => {
    const first = open()
    const second = open()
    first.stream.write(httpLogs(['/1'], 'one'))
    second.stream.write(httpLogs(['/2'], 'two'))
    await given.report.have(2)
    first.stream.write(httpLogs(['/3']))
    await given.report.have(3)
    first.stream.end()
    second.stream.end()
    await Promise.all([first.ended, second.ended])
    const last = given.report.batches[2]
    expect(decodeAccessLog(last?.payload ?? new Uint8Array())[0]?.get('context.reporter.uid')).toBe('one')
  })

  it('ends a stream whose bytes are no message, keeping what came before', async () => {
    const { stream, ended } = open()
    stream.write(httpLogs(['/a'], 'proxy-1'))
    await given.report.have(1)
    stream.write(Buffer.from([0x12, 0x7f, 0x01]))
    expect((await ended)?.code).toBe(grpcStatus.INVALID_ARGUMENT)
    expect(given.meter.counts.get('access_log_malformed_total{}')).toBe(1)
    expect(given.report.batches.length).toBe(1)
  })

  it('is not read on while checks are shed, and loses nothing', async () => {
    const setting = handAdmission()
    ;({ client } = await serveGrpc(served({ ...given, admission: setting.admission })))
    overload(setting)
    const { stream, ended } = open()
    stream.write(httpLogs(['/a'], 'proxy-1'))
    await given.report.have(1)
    expect(given.meter.counts.get('access_log_pauses_total{}')).toBeGreaterThan(0)
    for (let message = 0; message < 100; message++) stream.write(httpLogs([`/${message}`]))
    stream.end()
    // What had been read of the stream may still be taken: no more than the transport holds.
    await expect.poll(() => given.meter.counts.get('access_log_pauses_total{}')).toBeGreaterThan(1)
    expect(given.report.batches.length).toBeLessThan(101)
    setting.loop.rest(1)
    setting.admission.door('any', 'check').admit(1)
    expect(await ended).toBeNull()
    expect(given.report.batches.length).toBe(101)
  })

  const NO_ROOM = new IntermixError('OVERLOADED', 'no room')

  it('is not read on while the node has no room for its reports, and loses nothing of it', async () => {
    given.report.decide = () => NO_ROOM
    const { stream, ended } = open()
    for (let message = 0; message < 300; message++) stream.write(httpLogs([`/${message}${'x'.repeat(2_000)}`]))
    stream.end()
    await expect.poll(() => given.meter.counts.get('access_log_pauses_total{}')).toBeGreaterThan(1)
    // What the node holds meanwhile is what flow control lets through.
    expect(given.meter.counts.get('access_log_entries_total{}')).toBeLessThan(300)
    expect(given.report.batches).toEqual([])
    given.report.decide = () => undefined
    expect(await ended).toBeNull()
    const paths = given.report.batches.map(({ payload }) => decodeAccessLog(payload)[0]?.get('request.path'))
    expect(paths.map((path) => Number.parseInt((path as string).slice(1), 10))).toEqual([...Array(300).keys()])
    expect(given.meter.counts.has('access_log_lost_total{}')).toBe(false)
  })

  it('waits for its promises before it answers, and reads no more than so much ahead of them', async () => {
    const promises: ((refusal?: IntermixError) => void)[] = []
    given.report.decide = () => new Promise((resolve) => void promises.push(resolve))
    const { stream, ended } = open()
    for (let message = 0; message < 300; message++) stream.write(httpLogs([`/${message}${'x'.repeat(10_000)}`]))
    stream.end()
    await expect.poll(() => given.meter.counts.get('access_log_pauses_total{}')).toBeGreaterThan(1)
    expect(promises.length).toBeLessThan(150)
    let isEnded = false
    void ended.then(() => (isEnded = true))
    promises.shift()?.(NO_ROOM)
    for (let kept = 1; kept < 301; kept++) {
      await expect.poll(() => promises.length).toBeGreaterThan(0)
      expect(isEnded).toBe(false)
      promises.shift()?.()
    }
    expect(await ended).toBeNull()
    expect(given.report.batches.length).toBe(300)
  })

  it('sends again what was not promised under an id of its own: the queue may have it under that which it had', async () => {
    const asked: string[] = []
    given.report.decide = async ({ id }) => (asked.push(id) === 1 ? NO_ROOM : undefined)
    const { stream, ended } = open()
    stream.write(httpLogs(['/a']))
    await expect.poll(() => asked.length).toBe(2)
    stream.end()
    expect(await ended).toBeNull()
    expect(new Set(asked).size).toBe(2)
    expect(given.report.batches.map(({ id }) => id)).toEqual([asked[1]])
  })

  it('counts what it had no room for until its stream was over, and what it will never take', async () => {
    given.report.decide = ({ count }) => (count === 3 ? new IntermixError('INVALID_REQUEST', 'too large') : NO_ROOM)
    const { stream, ended } = open()
    stream.write(httpLogs(['/a', '/b', '/c']))
    await expect.poll(() => given.meter.counts.get('access_log_lost_total{}')).toBe(3)
    stream.write(httpLogs(['/a', '/b']))
    await expect.poll(() => given.meter.counts.get('access_log_pauses_total{}')).toBeGreaterThan(0)
    stream.cancel()
    await ended
    await expect.poll(() => given.meter.counts.get('access_log_lost_total{}')).toBe(5)
  })

  it('ends a stream with an entry that is too large, keeping what came before, and counts it', async () => {
    const headers = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`x-${n}`, '1']))
    const entries = [
      { request: { requestHeaders: headers(1_001) } },
      { request: { requestHeaders: headers(600) }, response: { responseHeaders: headers(401) } },
      { commonProperties: { customTags: headers(1_001) } },
      { request: { path: 'a'.repeat(300_000) } },
    ]
    for (const [at, entry] of entries.entries()) {
      const { stream, ended } = open()
      stream.write(httpLogs(['/a'], 'proxy-1'))
      await given.report.have(at + 1)
      const logEntries = { case: 'httpLogs' as const, value: { logEntry: [entry] } }
      stream.write(
        Buffer.from(toBinary(StreamAccessLogsMessageSchema, create(StreamAccessLogsMessageSchema, { logEntries }))),
      )
      expect((await ended)?.code).toBe(grpcStatus.INVALID_ARGUMENT)
      expect(given.meter.counts.get('requests_refused_total{access_log,too-large}')).toBe(at + 1)
    }
    expect(given.report.batches).toHaveLength(entries.length)
  })

  it('takes 10,000 entries in a message, and no more', async () => {
    for (const [count, code] of [
      [10_000, grpcStatus.OK],
      [10_001, grpcStatus.INVALID_ARGUMENT],
    ] as const) {
      const { stream, ended } = open()
      const logEntries = { case: 'httpLogs' as const, value: { logEntry: Array.from({ length: count }, () => ({})) } }
      stream.write(
        Buffer.from(toBinary(StreamAccessLogsMessageSchema, create(StreamAccessLogsMessageSchema, { logEntries }))),
      )
      stream.end()
      expect((await ended)?.code ?? grpcStatus.OK).toBe(code)
    }
    expect(given.report.batches.map(({ count }) => count)).toEqual([10_000])
  })

  it('keeps nothing of streams that have ended', () => {
    const { methods } = accessLogService({ ...given, admission: handAdmission().admission })
    const [method] = methods
    if (method?.kind !== 'stream') throw new Error('no stream')
    const cycle = () => {
      for (let streams = 0; streams < 20_000; streams++) {
        // What a transport keeps of a call.
        const kept = new Array<number>(100).fill(streams)
        const end = () => kept.length
        const stream = { deadline: 0, peer: '', write: () => true, end, pause() {}, resume() {} }
        method.open(stream).halfClosed()
      }
    }
    cycle()
    const before = usedHeap()
    cycle()
    expect(usedHeap() - before).toBeLessThan(4 * 1024 * 1024)
  })

  it('ends open streams when it drains, so that proxies go to another node', async () => {
    const { stream, ended } = open()
    stream.write(httpLogs(['/a'], 'proxy-1'))
    await given.report.have(1)
    const drained = server.drain(5_000)
    expect(await ended).toBeNull()
    stream.end()
    await drained
  })
})
