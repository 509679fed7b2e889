// gRPC calls over grpc-js, checked where they are made and where they arrive.

import {
  type CallOptions,
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
  status,
} from '@grpc/grpc-js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  clientInterceptor,
  type ClientInterceptorOptions,
  type GrpcCallStart,
  serverInterceptor,
} from '../../../src/client/library/grpc-js.ts'
import type { GuardOptions } from '../../../src/client/library/guard.ts'
import { currentTrace, traceOf, withTrace } from '../../../src/client/library/trace-context.ts'
import { IntermixError } from '../../../src/kernel/errors.ts'
import type { HeaderOperation } from '../../../src/kernel/header-operation.ts'
import { Duration } from '../../../src/kernel/time.ts'
import { isStringMap } from '../../../src/kernel/value.ts'
import { answerOf } from '../../server/fixtures.ts'
import { testClient } from './support.ts'

const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const PATH = '/test.Echo/Say'
const STREAM_PATH = '/test.Echo/Chat'
const asIs = (bytes: Buffer) => bytes
const method = (path: string, isStream: boolean) => ({
  path,
  requestStream: isStream,
  responseStream: isStream,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
})
const SERVICE: ServiceDefinition = { say: method(PATH, false), chat: method(STREAM_PATH, true) }
const replace = (name: string, value: string): HeaderOperation => ({ name, value, operation: 'REPLACE' })

describe('the interceptors of grpc-js', () => {
  let caller: ReturnType<typeof testClient>
  let callee: ReturnType<typeof testClient>
  let server: Server
  let port: number
  let got: { metadata: Metadata; trace: string | undefined }[]
  let calls: Client

  async function serve(options: Omit<GuardOptions<GrpcCallStart>, 'client'> = {}): Promise<void> {
    server = new Server({ interceptors: [serverInterceptor({ client: callee.client, ...options })] })
    server.addService(SERVICE, {
      say(
        call: { metadata: Metadata; request: Buffer },
        done: (error: null, answer: Buffer, trailer: Metadata) => void,
      ) {
        got.push({ metadata: call.metadata, trace: currentTrace()?.traceparent })
        done(null, call.request, new Metadata())
      },
      chat(call: ServerDuplexStream<Buffer, Buffer>) {
        got.push({ metadata: call.metadata, trace: currentTrace()?.traceparent })
        call.on('data', (message: Buffer) => call.write(message))
        call.on('end', () => call.end())
      },
    })
    port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      )
    })
    connect()
  }

  function connect(options: Omit<ClientInterceptorOptions, 'client'> = {}): void {
    calls?.close()
    const interceptors = [clientInterceptor({ client: caller.client, ...options })]
    calls = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { interceptors })
  }

  function say(text: string, metadata = new Metadata(), options: CallOptions = {}) {
    return new Promise<{ text: string; code: number; details: string; initial: Metadata }>((resolve) => {
      let initial = new Metadata()
      let said = ''
      const call = calls.makeUnaryRequest(PATH, asIs, asIs, Buffer.from(text), metadata, options, (_, answer) => {
        said = String(answer ?? '')
      })
      call.on('metadata', (received) => (initial = received))
      call.on('status', ({ code, details }) => resolve({ text: said, code, details, initial }))
    })
  }

  beforeEach(async () => {
    caller = testClient()
    callee = testClient()
    got = []
    await serve()
  })
  afterEach(() => {
    calls.close()
    server.forceShutdown()
  })

  it('tell policy of the call, and let it pass', async () => {
    const metadata = new Metadata()
    metadata.set('x-user', 'amy')
    metadata.set('x-istio-attributes', 'forged')
    metadata.set('x-raw-bin', Buffer.from([1]))
    expect(await say('hi', metadata)).toMatchObject({ text: 'hi', code: 0 })
    for (const { check } of [caller, callee]) {
      const bag = check.lastBag
      expect(bag.get('request.path')).toBe(PATH)
      expect(bag.get('request.method')).toBe('POST')
      expect(bag.get('context.protocol')).toBe('grpc')
      const headers = bag.get('request.headers')
      if (headers === undefined || !isStringMap(headers)) throw new Error('no headers')
      expect([headers.get('x-user'), headers.get('x-raw-bin'), headers.get('x-istio-attributes')]).toEqual([
        'amy',
        undefined,
        undefined,
      ])
    }
    expect(callee.check.lastBag.get('source.ip')).toEqual(Uint8Array.of(127, 0, 0, 1))
    expect(callee.check.lastBag.get('request.host')).toBe(`127.0.0.1:${port}`)
    expect(caller.check.lastBag.get('context.reporter.kind')).toBe('outbound')
  })

  it.each(['caller', 'callee'] as const)('deny with the code that policy gives, at the %s', async (side) => {
    const { check } = { caller, callee }[side]
    check.answer({ status: { code: 7, message: 'no' } })
    expect(await say('hi')).toMatchObject({ code: status.PERMISSION_DENIED, details: 'no' })
    check.decide = async () => ({ answer: answerOf({ status: { code: 16, message: 'who?' } }), quotas: new Map() })
    expect(await say('hi')).toMatchObject({ code: status.UNAUTHENTICATED, details: 'who?' })
    check.decide = async () => {
      throw new IntermixError('NOT_READY', 'no node is known')
    }
    expect(await say('hi')).toMatchObject({ code: status.UNAVAILABLE, details: 'no node is known' })
    expect(got).toHaveLength(0)
    expect(callee.check.asked).toHaveLength(side === 'caller' ? 0 : 3)
    check.decide = async () => ({ answer: answerOf(), quotas: new Map() })
    expect(await say('hi')).toMatchObject({ text: 'hi', code: 0 })
  })

  it('let calls pass where nobody can say, if they are told', async () => {
    for (const { check } of [caller, callee])
      check.decide = async () => {
        throw new IntermixError('NOT_READY', 'no node is known')
      }
    server.forceShutdown()
    await serve({ onFailure: 'allow' })
    expect(await say('hi')).toMatchObject({ code: status.UNAVAILABLE })
    connect({ onFailure: 'allow' })
    expect(await say('hi')).toMatchObject({ text: 'hi', code: 0 })
  })

  it('change metadata as policy wants it', async () => {
    const operations = (side: string) => ({
      requestHeaders: [replace(`x-${side}`, 'in'), { name: 'x-secret', value: '', operation: 'REMOVE' } as const],
      responseHeaders: [replace(`x-${side}`, 'out'), replace('grpc-status', '3'), replace('x-wide', 'ü')],
    })
    caller.check.answer(operations('caller'))
    callee.check.decide = async () => ({ answer: answerOf(operations('callee')), quotas: new Map() })
    const metadata = new Metadata()
    metadata.set('x-secret', 's')
    const { initial, code } = await say('hi', metadata)
    const received = got[0]?.metadata
    expect([received?.get('x-caller'), received?.get('x-callee'), received?.get('x-secret')]).toEqual([
      ['in'],
      ['in'],
      [],
    ])
    expect([initial.get('x-caller'), initial.get('x-callee'), code]).toEqual([['out'], ['out'], 0])
  })

  it('report calls when they end, on both sides', async () => {
    await say('hi')
    caller.check.answer({ status: { code: 7, message: 'no' } })
    await say('hi')
    const told = ({ records }: typeof caller) => records.map((record) => record.get('response.grpc_status'))
    await expect.poll(() => told(callee)).toEqual(['0'])
    expect(told(caller)).toEqual(['0', '7'])
    expect(caller.records[1]?.get('response.grpc_message')).toBe('no')
    expect(caller.records[0]?.get('response.duration')).toBeInstanceOf(Duration)
  })

  it('check streams once, and carry all of their messages', async () => {
    for (const { check } of [caller, callee]) check.decide = async () => ({ answer: answerOf(), quotas: new Map() })
    const stream = calls.makeBidiStreamRequest(STREAM_PATH, asIs, asIs)
    for (let i = 0; i < 20; i++) stream.write(Buffer.from(String(i)))
    stream.end()
    const echoed: string[] = []
    for await (const message of stream) echoed.push(String(message))
    expect(echoed).toEqual(Array.from({ length: 20 }, (_, i) => String(i)))
    expect([caller.check.asked.length, callee.check.asked.length]).toEqual([1, 1])
  })

  it('end a call that is cancelled while it is checked', async () => {
    const { promise, resolve } = Promise.withResolvers<{
      answer: ReturnType<typeof answerOf>
      quotas: Map<string, never>
    }>()
    caller.check.decide = () => promise
    const ended = new Promise<number>((done) => {
      const call = calls.makeUnaryRequest(PATH, asIs, asIs, Buffer.from('x'), new Metadata(), {}, () => undefined)
      call.on('status', ({ code }) => done(code))
      setImmediate(() => call.cancel())
    })
    expect(await ended).toBe(status.CANCELLED)
    resolve({ answer: answerOf(), quotas: new Map<string, never>() })
    caller.check.answer({})
    expect(await say('next')).toMatchObject({ text: 'next' })
    expect(got).toHaveLength(1)
  })

  it('carry the trace of the request for which a call is made, and give it to what answers', async () => {
    const trace = traceOf((name) => ({ traceparent: TRACE })[name])
    callee.check.decide = async () => ({ answer: answerOf(), quotas: new Map() })
    await withTrace(trace, () => say('hi'))
    await say('hi')
    connect({ trace: false })
    await withTrace(trace, () => say('hi'))
    expect(got.map((call) => call.trace)).toEqual([TRACE, undefined, undefined])
    expect(got[0]?.metadata.get('traceparent')).toEqual([TRACE])
  })
})
