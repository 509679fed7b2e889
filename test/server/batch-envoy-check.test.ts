import { create, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import type { AttributeBag } from '../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { Code } from '../../src/kernel/status.ts'
import { isStringMap } from '../../src/kernel/value.ts'
import { batchService } from '../../src/server/batch-stream.ts'
import { extAuthzService } from '../../src/server/ext-authz.ts'
import { encodeCheckResponse } from '../../src/server/ext-authz-response.ts'
import { GrpcFailure, type GrpcReply, type GrpcService } from '../../src/server/grpc-service.ts'
import { EnvoyCheck } from '../../src/wire/envoy-check.ts'
import { CheckRequestSchema } from '../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import { messageBytes } from '../helpers/message-bytes.ts'
import { Dice, oddRequest } from '../whole/doors/requests.ts'
import { openOn } from './batch-support.ts'
import { answerOf, dependencies } from './fixtures.ts'

/** All that a bag says, as text. */
function said(bag: AttributeBag): string {
  const lines = [...bag.names()].toSorted().map((name) => {
    const value = bag.get(name)
    const told =
      typeof value === 'object' && isStringMap(value)
        ? [...value.entries()].map((entry) => entry.join()).toSorted()
        : String(value)
    return `${name}=${JSON.stringify(told)}`
  })
  return lines.join('\n')
}

/** What Envoy asks about a request: `encode_raw_headers`, and what the operator set beside it. */
function asked(seed: number): Uint8Array {
  const dice = new Dice(seed)
  const { method, target, headers } = oddRequest(dice)
  const host = headers.find(([name]) => name.toLowerCase() === 'host')?.[1] ?? ''
  const pseudo = [
    [':method', method],
    [':path', target],
    [':authority', host],
  ] as const
  const lines = [...pseudo, ...headers.filter(([name]) => name.toLowerCase() !== 'host')].map(([key, value]) => ({
    key: key.toLowerCase(),
    rawValue: Buffer.from(value, 'latin1'),
  }))
  const valid = (text: string) => Buffer.from(text, 'latin1').toString()
  const source = dice.one<object>([{}, { principal: 'spiffe://c/ns/n/sa/s' }, { labels: { app: 'x' } }])
  const contextExtensions = dice.one<Record<string, string>>([
    {},
    { 'destination.service.name': 'reviews' },
    { 'destination.port': '80' },
    { 'destination.port': 'eighty' },
  ])
  const http = { method, path: valid(target), host: valid(host), scheme: 'https', headerMap: { headers: lines } }
  const attributes = { source, contextExtensions, request: { http } }
  return toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes }))
}

const TEXTS = ['/', '/a', 'GET', 'a.test', 'x-a', 'X-A', 'destination.port', '80', 'content-type', 'application/grpc']
const requests = fc.oneof(fc.nat().map(asked), messageBytes(CheckRequestSchema, TEXTS))

describe('a check with what Envoy would ask ext_authz', () => {
  let given: ReturnType<typeof dependencies>
  beforeEach(() => {
    given = { ...dependencies(), clock: { ...dependencies().clock, monotonic: () => 0 } }
  })

  async function atTheDoor(bytes: Uint8Array): Promise<GrpcReply> {
    const [method] = extAuthzService(given).methods
    if (method?.kind !== 'unary') throw new Error('no unary method')
    return await method.answer(bytes, { deadline: Number.POSITIVE_INFINITY, peer: '127.0.0.1:1' })
  }

  function overTheStream(service: GrpcService = batchService(given)) {
    const { host, handler } = openOn(service)
    return (...checks: readonly Parameters<typeof host.asking.writer.add>[2][]) => {
      for (const [id, about] of checks.entries()) host.asking.writer.add(id, 0, about)
      handler.message(host.asking.writer.take())
      return host.asking
    }
  }

  it('has the answer of the door for ext_authz, whatever is asked', async () => {
    const seen = new Map<string, number>()
    given.check.decide = (bag) => {
      const text = said(bag)
      const dice = new Dice(Buffer.from(text).reduce((sum, byte) => (sum * 31 + byte) >>> 0, 7))
      if (dice.chance(0.1)) throw new IntermixError('INVALID_REQUEST', `two readings of ${text.length}`)
      if (dice.chance(0.1)) throw new IntermixError('OVERLOADED', 'too much to do')
      const status = { code: dice.one([0, 0, Code.PERMISSION_DENIED, Code.UNAUTHENTICATED]), message: text }
      const change = { name: dice.one(['x-a', 'cookie']), value: text.slice(0, 20), operation: 'APPEND' } as const
      const parts = { requestHeaders: [change], responseHeaders: [change], ageMs: dice.below(9), validForMs: 5 }
      return { answer: answerOf({ status, tier: dice.one(['local', 'mesh', 'stale']), ...parts }), quotas: new Map() }
    }
    const ask = overTheStream()
    const property = fc.asyncProperty(requests, async (bytes) => {
      const wanted = await atTheDoor(bytes)
      const asking = ask(bytes)
      const answer = asking.answers.get(0)
      const failure = asking.failures.get(0)
      asking.answers.clear()
      asking.failures.clear()
      if (wanted instanceof GrpcFailure) {
        expect(failure).toEqual({ code: wanted.code, message: wanted.details })
        seen.set(`failed ${wanted.code}`, 1)
        return
      }
      if (answer === undefined) throw new Error('no answer')
      // What is refused as too large is not read, and changes no header.
      const request = answer.requestHeaders.length === 0 ? undefined : new EnvoyCheck(bytes)
      expect(Buffer.from(encodeCheckResponse(answer, request))).toEqual(Buffer.from(wanted))
      const kind = answer.status.code === Code.INVALID_ARGUMENT ? answer.status.message.slice(0, 16) : 'judged'
      seen.set(kind, (seen.get(kind) ?? 0) + 1)
    })
    await fc.assert(property, { numRuns: 2_000 })
    expect([...seen.keys()]).toEqual(
      expect.arrayContaining([
        'judged',
        'failed 3',
        `failed ${Code.UNAVAILABLE}`,
        'two readings of ',
        'the request has ',
      ]),
    )
    expect(seen.get('judged')).toBeGreaterThan(300)
  })

  it('is refused where its bytes are none such, and the stream goes on', () => {
    const asking = overTheStream()(Uint8Array.of(0x0a, 0x7f), asked(1))
    expect(asking.answers.get(0)?.status.code).toBe(Code.INVALID_ARGUMENT)
    expect(asking.answers.get(0)?.status.message).toContain('not a CheckRequest: malformed protobuf message')
    expect(asking.answers.get(1)?.status.code).toBe(0)
    expect(asking.failures.size).toBe(0)
  })

  it('is bounded as every request is, and counted where it is refused', () => {
    const limits = { maxMapEntries: 2, maxAttributeBytes: 100 }
    const asking = overTheStream(batchService({ ...given, limits }))(asked(1))
    expect(asking.answers.get(0)?.status.message).toContain('more than 2 map entries')
    expect(given.meter.counts.get('requests_refused_total{batch,too-large}')).toBe(1)
  })

  it('tells the operator what is wrong with the attributes that he set', () => {
    const bytes = toBinary(
      CheckRequestSchema,
      create(CheckRequestSchema, {
        attributes: { request: { http: { path: '/' } }, contextExtensions: { 'destination.port': 'eighty' } },
      }),
    )
    const asking = overTheStream()(bytes)
    expect(asking.failures.get(0)?.code).toBe(Code.INVALID_ARGUMENT)
    expect(given.log.errors).toHaveLength(1)
  })
})
