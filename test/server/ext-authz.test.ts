import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { type Client, type ServiceError, status as grpcStatus } from '@grpc/grpc-js'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import { parseIp } from '../../src/kernel/ip-address.ts'
import { Code, codeName } from '../../src/kernel/status.ts'
import type { StringMap } from '../../src/kernel/value.ts'
import {
  CheckRequestSchema,
  type CheckRequest,
  type CheckResponse,
  CheckResponseSchema,
} from '../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import { encodeCheckResponse } from '../../src/server/ext-authz-response.ts'
import { answerOf, dependencies, type RecordingCheck, served } from './fixtures.ts'
import { serveGrpc } from './grpc-client.ts'
import { clientMethod } from './grpc-method.ts'

/** The least that says which request a check is about. */
const DESCRIBED = { attributes: { request: { http: { method: 'GET', path: '/' } } } }

describe('ext_authz over gRPC', () => {
  let given: ReturnType<typeof dependencies>
  let check: RecordingCheck
  let client: Client
  const method = clientMethod('/envoy.service.auth.v3.Authorization/Check', CheckRequestSchema, CheckResponseSchema)

  beforeEach(async () => {
    given = dependencies()
    check = given.check
    ;({ client } = await serveGrpc(served(given)))
  })

  function ask(request: MessageInitShape<typeof CheckRequestSchema>, deadline?: Date): Promise<CheckResponse> {
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest<CheckRequest, CheckResponse>(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        create(CheckRequestSchema, request),
        deadline === undefined ? {} : { deadline },
        (error, response) => (response === undefined ? reject(error ?? new Error('no response')) : resolve(response)),
      )
    })
  }

  it('passes a request with its attributes to the check and lets it through with header changes', async () => {
    check.answer({
      tier: 'mesh',
      ageMs: 12,
      validForMs: 5_000,
      requestHeaders: [
        { name: 'x-user', value: 'a\r\nb', operation: 'REPLACE' },
        { name: 'x-tag', value: 't', operation: 'APPEND' },
        { name: 'cookie', value: '', operation: 'REMOVE' },
        { name: 'host', value: '', operation: 'REMOVE' },
      ],
      responseHeaders: [{ name: 'x-seen', value: 'yes', operation: 'REPLACE' }],
    })
    const response = await ask({
      attributes: {
        source: { address: { address: { case: 'socketAddress', value: { address: '10.1.2.3', portValue: 40 } } } },
        request: { http: { method: 'GET', path: '/a?b=c', headers: { 'user-agent': 'curl' } } },
        contextExtensions: { 'destination.service.name': 'reviews', unrelated: 'x' },
      },
    })
    expect(check.lastBag.get('source.ip')).toEqual(parseIp('10.1.2.3'))
    expect(check.lastBag.get('request.useragent')).toBe('curl')
    expect(check.lastBag.get('destination.service.name')).toBe('reviews')
    expect(response.status).toMatchObject({ code: 0, message: '' })
    expect(response.dynamicMetadata).toEqual({
      status: 'OK',
      reason: '',
      tier: 'mesh',
      ageMs: 12,
      validForMs: 5000,
      validUses: 10_000,
    })
    if (response.httpResponse.case !== 'okResponse') throw new Error('not allowed')
    const ok = response.httpResponse.value
    expect(
      ok.headers.map(({ header, appendAction, append }) => [header?.key, header?.value, appendAction, append]),
    ).toEqual([
      ['x-user', 'a b', 2, undefined],
      ['x-tag', 't', 2, undefined],
    ])
    expect(ok.headersToRemove).toEqual(['cookie'])
    expect(ok.responseHeadersToAdd.map(({ header, appendAction }) => [header?.key, appendAction])).toEqual([
      ['x-seen', 2],
    ])
    expect(given.meter.counts.get('server_requests_total{ext_authz,OK}')).toBe(1)
  })

  it('tells what operations come to, since Envoy does all removing after all setting', async () => {
    check.answer({
      requestHeaders: [
        { name: 'x-user', value: 'a', operation: 'REPLACE' },
        { name: 'x-user', value: 'b', operation: 'REPLACE' },
        { name: 'x-role', value: 'a', operation: 'REPLACE' },
        { name: 'x-role', value: 'b', operation: 'APPEND' },
        { name: 'x-gone', value: 'a', operation: 'REPLACE' },
        { name: 'x-gone', value: '', operation: 'REMOVE' },
        { name: 'x-back', value: '', operation: 'REMOVE' },
        { name: 'x-back', value: 'a', operation: 'APPEND' },
      ],
    })
    const response = await ask(DESCRIBED)
    if (response.httpResponse.case !== 'okResponse') throw new Error('not allowed')
    const { headers, headersToRemove } = response.httpResponse.value
    expect(headers.map(({ header, appendAction }) => [header?.key, header?.value, appendAction])).toEqual([
      ['x-user', 'b', 2],
      ['x-role', 'a', 2],
      ['x-role', 'b', 0],
      ['x-back', 'a', 2],
    ])
    expect(headersToRemove).toEqual(['x-gone'])
  })

  it.each([
    ['a map', { headers: { 'x-tag': '1' } }],
    ['raw', { headerMap: { headers: [{ key: 'X-Tag', value: '1' }] } }],
  ])('appends to what the client sent, and sets what it did not send: headers as %s', async (_, http) => {
    check.answer({
      requestHeaders: ['x-tag', 'x-new'].flatMap((name) =>
        ['2', '3'].map((value) => ({ name, value, operation: 'APPEND' as const })),
      ),
    })
    const response = await ask({ attributes: { request: { http: { path: '/', ...http } } } })
    if (response.httpResponse.case !== 'okResponse') throw new Error('not allowed')
    const { headers } = response.httpResponse.value
    expect(
      headers.map(({ header, append, appendAction }) => [header?.key, header?.value, append, appendAction]),
    ).toEqual([
      ['x-tag', '2', true, 0],
      ['x-tag', '3', true, 0],
      ['x-new', '2', undefined, 2],
      ['x-new', '3', true, 0],
    ])
  })

  it.each([
    [Code.PERMISSION_DENIED, 403],
    [Code.UNAUTHENTICATED, 401],
    [Code.RESOURCE_EXHAUSTED, 429],
    [Code.UNAVAILABLE, 503],
    [77, 500],
  ])('denies status %i in an OK call with HTTP status %i', async (code, http) => {
    check.answer({ status: { code, message: 'not today' }, validForMs: 1_500 })
    const response = await ask(DESCRIBED)
    expect(response.status?.code).toBe(code)
    if (response.httpResponse.case !== 'deniedResponse') throw new Error('not denied')
    expect(response.httpResponse.value.status?.code).toBe(http)
    expect(response.httpResponse.value.body).toBe('not today')
    const retry = response.httpResponse.value.headers.find(({ header }) => header?.key === 'retry-after')?.header?.value
    expect(retry).toBe(http === 429 ? '2' : undefined)
  })

  it('sends the direct response that a handler wants', async () => {
    check.answer({
      status: { code: Code.PERMISSION_DENIED, message: 'no' },
      directResponse: { code: 302, body: 'go', headers: { Location: 'https://login.test/' } },
    })
    const response = await ask(DESCRIBED)
    if (response.httpResponse.case !== 'deniedResponse') throw new Error('not denied')
    const { status, body, headers } = response.httpResponse.value
    expect([status?.code, body]).toEqual([302, 'go'])
    expect(headers.map(({ header, appendAction }) => [header?.key, header?.value, appendAction])).toEqual([
      ['location', 'https://login.test/', 2],
    ])
  })

  it.each([false, true])('fails the call where the node fails (asynchronously: %s)', async (later) => {
    const error = new IntermixError('OVERLOADED', 'too much to do')
    check.decide = () => {
      if (later) return Promise.reject(error)
      throw error
    }
    await expect(ask(DESCRIBED)).rejects.toMatchObject({
      code: grpcStatus.UNAVAILABLE,
      details: 'too much to do',
    })
    expect(given.log.errors).toEqual([])
  })

  it.each([false, true])('denies with 400 what cannot be judged for what it is (asynchronously: %s)', async (later) => {
    const error = new IntermixError('INVALID_REQUEST', 'read in two ways')
    check.decide = () => {
      if (later) return Promise.reject(error)
      throw error
    }
    const response = await ask(DESCRIBED)
    expect(response.status?.code).toBe(Code.INVALID_ARGUMENT)
    if (response.httpResponse.case !== 'deniedResponse') throw new Error('not denied')
    expect([response.httpResponse.value.status?.code, response.httpResponse.value.body]).toEqual([
      400,
      'read in two ways',
    ])
  })

  it('logs a bug once and fails the calls', async () => {
    check.decide = () => {
      throw new TypeError('a bug')
    }
    for (let i = 0; i < 3; i++) {
      await expect(ask(DESCRIBED)).rejects.toMatchObject({ code: grpcStatus.INTERNAL })
    }
    expect(given.log.errors.length).toBe(1)
  })

  it('fails the call for a context extension of the wrong type, naming it', async () => {
    const failure = ask({
      attributes: { ...DESCRIBED.attributes, contextExtensions: { 'destination.port': 'http' } },
    })
    await expect(failure).rejects.toMatchObject({
      code: grpcStatus.INVALID_ARGUMENT,
      details: expect.stringContaining('destination.port is "http" and must be a whole number') as string,
    })
    expect(check.asked).toEqual([])
  })

  it('gives the check what is left of the deadline, and the default where there is none', async () => {
    await ask(DESCRIBED)
    expect(check.asked[0]?.options.timeoutMs).toBe(1_000)
    await ask(DESCRIBED, new Date(Date.now() + 5_000))
    const left = check.asked[1]?.options.timeoutMs ?? 0
    expect(left).toBeGreaterThan(3_000)
    expect(left).toBeLessThan(5_000)
  })

  it('refuses bytes that are not a request without harm to later calls', async () => {
    const failure = new Promise<ServiceError | null>((resolve) => {
      client.makeUnaryRequest(
        '/envoy.service.auth.v3.Authorization/Check',
        (bytes: Buffer) => bytes,
        (bytes) => bytes,
        Buffer.from([0x0a, 0xff, 0xff]),
        (error) => resolve(error),
      )
    })
    expect((await failure)?.code).toBe(grpcStatus.INVALID_ARGUMENT)
    expect((await ask(DESCRIBED)).status?.code).toBe(0)
  })

  describe('refuses', () => {
    const http = { method: 'GET', path: '/' }
    const line = (key: string, value: string) => ({ key, rawValue: Buffer.from(value, 'latin1') })
    const raw = (...headers: ReturnType<typeof line>[]) => ({
      attributes: { request: { http: { ...http, headerMap: { headers } } } },
    })
    const both = (headers: Readonly<Record<string, string>>, ...lines: ReturnType<typeof line>[]) => ({
      attributes: { request: { http: { ...http, headers, headerMap: { headers: lines } } } },
    })
    const entries = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`x-${n}`, '1']))

    it.each<[string, MessageInitShape<typeof CheckRequestSchema>]>([
      ['undescribed', {}],
      ['undescribed', { attributes: {} }],
      ['undescribed', { attributes: { contextExtensions: { 'source.principal': 'ann' } } }],
      ['undescribed', { attributes: { request: { http: {} } } }],
      ['undescribed', { attributes: { request: { http: { method: 'GET', host: 'a.test' } } } }],
      ['undescribed', { attributes: { request: { http: { path: 'admin' } } } }],
      ['undescribed', { attributes: { request: { http: { path: '?a=/admin' } } } }],
      ['contradictory', both({ 'x-user': 'ann' }, line('x-user', 'bob'))],
      ['contradictory', both({ 'x-user': 'ann' }, line('x-team', 'blue'))],
      ['repeated', raw(line('Authorization', 'a'), line('authorization', 'b'))],
      ['ill-formed', raw(line('x-user', 'zo\xeb'))],
      ['too-large', { attributes: { request: { http: { ...http, headers: entries(1_001) } } } }],
      [
        'too-large',
        { attributes: { request: { http: { ...http, headers: entries(900) } }, contextExtensions: entries(101) } },
      ],
      ['too-large', raw(...Object.keys(entries(1_001)).map((name) => line(name, '')))],
      ['too-large', { attributes: { request: { http: { ...http, headers: { 'x-a': 'a'.repeat(300_000) } } } } }],
    ])(
      'what is %s in an OK call, since a proxy that fails open would let it pass: case %#',
      async (reason, request) => {
        const { status, httpResponse } = await ask(request)
        expect(status?.code).toBe(Code.INVALID_ARGUMENT)
        if (httpResponse.case !== 'deniedResponse') throw new Error('not denied')
        expect(httpResponse.value.status?.code).toBe(400)
        expect(httpResponse.value.body).toBe(status?.message)
        expect(given.meter.counts.get(`requests_refused_total{ext_authz,${reason}}`)).toBe(1)
        expect(given.log.warnings).toHaveLength(1)
        expect(check.asked).toEqual([])
      },
    )
  })

  it.each<[string, MessageInitShape<typeof CheckRequestSchema>]>([
    [
      'a connection',
      { attributes: { source: { address: { address: { case: 'socketAddress', value: { address: '10.0.0.1' } } } } } },
    ],
    ['CONNECT, which has no path', { attributes: { request: { http: { method: 'CONNECT', host: 'a.test:443' } } } }],
  ])('takes %s', async (_, request) => {
    expect((await ask(request)).status?.code).toBe(0)
    expect(check.asked).toHaveLength(1)
  })

  it('encodes any answer as protobuf’s own library would', () => {
    const name = fc.constantFrom('x-a', 'x-b', 'cookie', 'host', 'authorization', ':path')
    const operation = fc.record({
      name,
      value: fc.string({ unit: 'grapheme' }),
      operation: fc.constantFrom('REPLACE' as const, 'REMOVE' as const, 'APPEND' as const),
    })
    const answers = fc.record({
      status: fc.record({ code: fc.constantFrom(0, 0, 7, 8, 16, 99), message: fc.constantFrom('', 'no', 'zoë\ud800') }),
      tier: fc.constantFrom('local' as const, 'mesh' as const),
      ageMs: fc.nat(),
      validForMs: fc.oneof(fc.nat(), fc.constant(Number.POSITIVE_INFINITY)),
      validUses: fc.nat(),
      requestHeaders: fc.oneof(fc.constant([]), fc.array(operation)),
      responseHeaders: fc.oneof(fc.constant([]), fc.array(operation)),
    })
    fc.assert(
      fc.property(answers, (parts) => {
        const answer = answerOf(parts)
        const bytes = encodeCheckResponse(answer, undefined)
        const response = fromBinary(CheckResponseSchema, bytes)
        expect(Buffer.from(toBinary(CheckResponseSchema, response)).equals(bytes)).toBe(true)
        expect(response.status?.code).toBe(answer.status.code)
        expect(response.httpResponse.case).toBe(answer.status.code === 0 ? 'okResponse' : 'deniedResponse')
        expect(response.dynamicMetadata).toEqual({
          status: codeName(answer.status.code),
          reason: answer.status.message.toWellFormed(),
          tier: answer.tier,
          ageMs: answer.ageMs,
          validForMs: Math.min(answer.validForMs, Number.MAX_SAFE_INTEGER),
          validUses: answer.validUses,
        })
      }),
      { numRuns: 1_000 },
    )
  })

  it('joins raw lines as Envoy joins them', async () => {
    const headers = [
      { key: 'X-Tag', rawValue: Buffer.from('1') },
      { key: 'x-tag', rawValue: Buffer.from('zoë') },
      { key: 'cookie', rawValue: Buffer.from('a=1') },
      { key: 'cookie', rawValue: Buffer.from('b=2') },
    ]
    await ask({ attributes: { request: { http: { method: 'GET', path: '/', headerMap: { headers } } } } })
    const seen = check.lastBag.get('request.headers') as StringMap
    expect(['x-tag', 'cookie'].map((name) => seen.get(name))).toEqual(['1,zoë', 'a=1; b=2'])
  })
})
