import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { type ServiceError, status as grpcStatus } from '@grpc/grpc-js'
import { describe, expect, it } from 'vitest'
import type { AttributeBag, Vocabulary } from '../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { Clock } from '../../src/kernel/ports.ts'
import type { ReportBatch } from '../../src/kernel/report.ts'
import type { CheckOptions, CheckOutcome, QuotaGrant, ReportOutcome } from '../../src/kernel/services.ts'
import { Code } from '../../src/kernel/status.ts'
import type { Answer } from '../../src/kernel/verdict.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { createMeter } from '../../src/observe/meter.ts'
import {
  CheckRequestSchema,
  CheckResponseSchema,
  HeaderOperation_Operation,
  ReferencedAttributes_Condition,
  ReportRequestSchema,
} from '../../src/wire/generated/istio/mixer/v1/mixer_pb.ts'
import { createBatchIds } from '../../src/kernel/batch-ids.ts'
import { decodeMixerReport } from '../../src/wire/mixer/decode-report.ts'
import { FakeClock } from '../helpers/clock.ts'
import { compress } from '../wire/mixer/compress.ts'
import { dependencies, served } from './fixtures.ts'
import { serveGrpc } from './grpc-client.ts'

const VOCABULARY: Vocabulary = new Map([
  ['source.name', 'STRING'],
  ['source.ip', 'IP_ADDRESS'],
  ['request.headers', 'STRING_MAP'],
  ['request.auth.claims', 'STRING_MAP'],
])
const ALLOWED: Answer = {
  status: { code: Code.OK, message: '' },
  validForMs: 1_500,
  validUses: 7,
  tier: 'backend',
  ageMs: 0,
  referenced: [{ name: 'source.name', key: undefined, condition: 'EXACT', whole: false }],
  requestHeaders: [],
  responseHeaders: [],
}

type Check = (bag: AttributeBag, options: CheckOptions) => CheckOutcome | Promise<CheckOutcome>

/** Deadlines come from the network's clock, so `now` is the real one; nothing here waits. */
class ServerClock extends FakeClock {
  override now(): number {
    return Date.now()
  }
}

async function start(check: Check, outcome?: Promise<ReportOutcome> | IntermixError) {
  const batches: ReportBatch[] = []
  const lines: string[] = []
  const write = (line: string) => void lines.push(line)
  const clock: Clock = new ServerClock()
  const meter = createMeter({ processMetrics: false })
  const shared = {
    check: { vocabulary: () => VOCABULARY, check },
    report: {
      accept: (batch: ReportBatch) => {
        batches.push(batch)
        return outcome
      },
    },
    clock,
    random: () => 0.5,
    log: createLogger({ level: 'info', format: 'json', terminal: false, fields: {}, write }),
    meter,
    nextBatchId: createBatchIds({ nodeId: 'node-1', clock, random: () => 0.5 }).next,
    defaultTimeoutMs: 1_000,
  }
  const { admission, quotas } = dependencies()
  const { client } = await serveGrpc(served({ ...shared, admission, quotas }))
  const call = (method: string, request: Uint8Array, deadline?: number) =>
    new Promise<Uint8Array>((resolve, reject) => {
      const write = (bytes: Uint8Array) => Buffer.from(bytes)
      const options = deadline === undefined ? {} : { deadline }
      const done = (error: ServiceError | null, bytes?: Uint8Array) => {
        if (error === null && bytes !== undefined) resolve(bytes)
        else reject(error ?? new Error('no answer'))
      }
      client.makeUnaryRequest(`/istio.mixer.v1.Mixer/${method}`, write, (bytes) => bytes, request, options, done)
    })
  return {
    batches,
    lines,
    meter,
    callRaw: call,
    check: async (init: MessageInitShape<typeof CheckRequestSchema>, deadline?: number) => {
      const request = toBinary(CheckRequestSchema, create(CheckRequestSchema, init))
      return fromBinary(CheckResponseSchema, await call('Check', request, deadline))
    },
    report: (init: MessageInitShape<typeof ReportRequestSchema>) =>
      call('Report', toBinary(ReportRequestSchema, create(ReportRequestSchema, init))),
  }
}

function failing(error: Error): Check {
  return () => {
    throw error
  }
}

function failingLater(failure: Error): Check {
  return async () => await Promise.reject(failure)
}

describe('mixerService: Check', () => {
  it('answers with status, validity and what the answer depended on', async () => {
    const seen: unknown[] = []
    const node = await start((bag, options) => {
      seen.push(bag.get('source.name'), options)
      return { answer: ALLOWED, quotas: new Map() }
    })
    const { precondition } = await node.check({ attributes: compress({ 'source.name': 'me' }), globalWordCount: 222 })
    expect(seen).toEqual(['me', { timeoutMs: 1_000, startedAt: 0, keepsAnswer: true, charging: 'named' }])
    expect(precondition?.status?.code ?? 0).toBe(0)
    expect(precondition?.validDuration).toMatchObject({ seconds: 1n, nanos: 500_000_000 })
    expect(precondition?.validUseCount).toBe(7)
    expect(precondition?.referencedAttributes?.attributeMatches).toMatchObject([
      { name: 2, mapKey: 0, condition: ReferencedAttributes_Condition.EXACT },
    ])
    expect(precondition?.routeDirective).toBeUndefined()
  })

  it('hands a denial on with its direct response and header operations', async () => {
    const answer: Answer = {
      ...ALLOWED,
      status: { code: Code.PERMISSION_DENIED, message: 'not you' },
      requestHeaders: [{ name: 'x-user', value: 'me', operation: 'APPEND' }],
      responseHeaders: [{ name: 'x-gone', value: '', operation: 'REMOVE' }],
      directResponse: { code: 0, body: 'no', headers: { 'X-Why': 'policy' } },
    }
    const node = await start(() => Promise.resolve({ answer, quotas: new Map() }))
    const { precondition } = await node.check({ attributes: compress({}) })
    expect(precondition?.status).toMatchObject({ code: 7, message: 'not you' })
    expect(precondition?.routeDirective).toMatchObject({
      requestHeaderOperations: [{ name: 'x-user', value: 'me', operation: HeaderOperation_Operation.APPEND }],
      responseHeaderOperations: [
        { name: 'x-gone', operation: HeaderOperation_Operation.REMOVE },
        { name: 'x-why', value: 'policy', operation: HeaderOperation_Operation.REPLACE },
      ],
      directResponseCode: 403,
      directResponseBody: 'no',
    })
  })

  it('asks for quotas with the deduplication id and answers under the names that the caller wrote', async () => {
    let asked: CheckOptions | undefined
    const grant: QuotaGrant = {
      status: { code: Code.OK, message: '' },
      granted: 3,
      validForMs: 60_000,
      referenced: ALLOWED.referenced,
    }
    const node = await start((_, options) => {
      asked = options
      const names = [...(options.quotas?.keys() ?? [])]
      return { answer: ALLOWED, quotas: new Map(names.map((name) => [name, grant])) }
    })
    const request = {
      attributes: compress({ 'source.name': 'me' }),
      globalWordCount: 222,
      deduplicationId: 'id-17',
      quotas: { RequestCount: { amount: 5n, bestEffort: true }, other: { amount: 1n } },
    }
    const { quotas, precondition } = await node.check(request, Date.now() + 2_000)
    expect(asked?.deduplicationId).toBe('id-17')
    expect(asked?.timeoutMs).toBeGreaterThan(500)
    expect(asked?.timeoutMs).toBeLessThanOrEqual(2_000)
    expect([...(asked?.quotas ?? [])]).toEqual([
      ['RequestCount', { amount: 5, bestEffort: true }],
      ['other', { amount: 1, bestEffort: false }],
    ])
    expect(Object.keys(quotas)).toEqual(['RequestCount', 'other'])
    expect(quotas.RequestCount).toMatchObject({
      grantedAmount: 3n,
      validDuration: { seconds: 60n, nanos: 0 },
      referencedAttributes: { attributeMatches: [{ name: 2 }] },
    })
    expect(precondition?.validUseCount).toBe(7)
  })

  it('forbids reuse where the client could not tell requests apart, and counts that', async () => {
    const claims = { name: 'request.auth.claims', key: undefined, condition: 'ABSENCE' as const, whole: false }
    const node = await start(() => ({ answer: { ...ALLOWED, referenced: [claims] }, quotas: new Map() }))
    const { precondition } = await node.check({ attributes: compress({ 'source.name': 'me' }), globalWordCount: 222 })
    expect(precondition?.validUseCount).toBe(0)
    // Present though zero: the client takes an answer without a duration for valid for ever.
    expect(precondition?.validDuration).toMatchObject({ seconds: 0n, nanos: 0 })
    expect(await node.meter.render()).toMatch(/intermix_mixer_unshareable_answers_total 1\b/)
  })

  it('forbids reuse of the answer where a quota depends on what cannot be said', async () => {
    const headers = { name: 'request.headers', key: undefined, condition: 'EXACT' as const, whole: true }
    const grant = { status: ALLOWED.status, granted: 1, validForMs: 1_000, referenced: [headers] }
    const node = await start(() => ({ answer: ALLOWED, quotas: new Map([['q', grant]]) }))
    const attributes = compress({ 'source.name': 'me', 'request.headers': new Map([['a', 'b']]) })
    const { precondition, quotas } = await node.check({ attributes, quotas: { q: { amount: 1n } } })
    expect(precondition?.validUseCount).toBe(0)
    expect(quotas.q?.grantedAmount).toBe(1n)
  })

  it('refuses a dictionary that is larger than its own', async () => {
    const node = await start(() => ({ answer: ALLOWED, quotas: new Map() }))
    const details = 'inconsistent global dictionary versions used: mixer knows 222 words, caller knows 223'
    const error = { code: grpcStatus.INTERNAL, details }
    await expect(node.check({ globalWordCount: 223 })).rejects.toMatchObject(error)
    await expect(node.report({ attributes: [{}], globalWordCount: 223 })).rejects.toMatchObject(error)
    await expect(node.check({ globalWordCount: 222 })).resolves.toBeDefined()
  })

  it.each([
    [new IntermixError('OVERLOADED', 'Server is currently overloaded. Please try again.'), grpcStatus.UNAVAILABLE],
    [new IntermixError('NOT_READY', 'no config yet'), grpcStatus.UNAVAILABLE],
    [new IntermixError('DEADLINE_EXCEEDED', 'too late'), grpcStatus.DEADLINE_EXCEEDED],
    [new IntermixError('INVALID_CONFIG', 'an instance failed'), grpcStatus.INTERNAL],
  ])('fails the call as %s', async (error, code) => {
    const node = await start(failing(error))
    await expect(node.check({})).rejects.toMatchObject({ code, details: error.message })
    const later = await start(failingLater(error))
    await expect(later.check({})).rejects.toMatchObject({ code, details: error.message })
  })

  it('denies what cannot be judged for what it is: a failed call would meet the network fail policy', async () => {
    const { check } = await start(failing(new IntermixError('INVALID_REQUEST', 'read in two ways')))
    const { precondition } = await check({ globalWordCount: 222 })
    expect(precondition?.status).toMatchObject({ code: Code.INVALID_ARGUMENT, message: 'read in two ways' })
    expect(precondition?.validDuration).toMatchObject({ seconds: 0n, nanos: 0 })
    expect(precondition?.validUseCount).toBe(0)
  })

  const allowing: Check = () => ({ answer: ALLOWED, quotas: new Map() })
  const headers = (count: number) => new Map(Array.from({ length: count }, (_, n) => [`x-${n}`, '1']))

  it.each<[string, MessageInitShape<typeof CheckRequestSchema>]>([
    ['invalid-value', { attributes: compress({ 'source.ip': Uint8Array.of(10, 0, 0) }) }],
    ['invalid-value', { attributes: compress({ 'source.ip': new Uint8Array(0) }) }],
    ['too-large', { attributes: compress({ 'request.headers': headers(1_001) }) }],
    ['too-large', { attributes: compress({ 'request.headers': headers(600), 'request.auth.claims': headers(401) }) }],
    ['too-large', { attributes: compress({ 'source.name': 'a'.repeat(300_000) }) }],
  ])('denies what is %s, counted: case %#', async (reason, request) => {
    const node = await start(allowing)
    const { precondition } = await node.check({ ...request, globalWordCount: 222 })
    expect(precondition?.status?.code).toBe(Code.INVALID_ARGUMENT)
    expect([precondition?.validDuration?.seconds, precondition?.validUseCount]).toEqual([0n, 0])
    expect(await node.meter.render()).toContain(`intermix_requests_refused_total{door="mixer",reason="${reason}"} 1`)
  })

  it.each([
    ['a value', { attributes: compress({ 'source.name': 'zo\u00eb' }) }],
    ['a long value', { attributes: compress({ 'source.name': `${'a'.repeat(100)}\u00eb` }) }],
    ['a key', { attributes: compress({ 'request.headers': new Map([['\u00eb', '1']]) }) }],
    ['the deduplication id', { deduplicationId: '\u00eb' }],
    ["a quota's name", { quotas: { '\u00eb': { amount: 1n } } }],
  ])('denies text that is not UTF-8 in %s', async (_, request) => {
    const node = await start(allowing)
    const bytes = toBinary(CheckRequestSchema, create(CheckRequestSchema, request))
    const check = async () => fromBinary(CheckResponseSchema, await node.callRaw('Check', bytes))
    expect((await check()).precondition?.status?.code ?? 0).toBe(0)
    // Of the two bytes of an e with two dots, the second becomes a letter.
    bytes[Buffer.from(bytes).indexOf(Buffer.from('\u00eb')) + 1] = 0x61
    expect((await check()).precondition?.status).toMatchObject({
      code: Code.INVALID_ARGUMENT,
      message: expect.stringContaining('is not UTF-8') as string,
    })
  })

  it('takes IP addresses of 4 and of 16 bytes, and a check that says nothing', async () => {
    const node = await start(allowing)
    for (const length of [4, 16]) {
      const attributes = compress({ 'source.ip': new Uint8Array(length) })
      expect((await node.check({ attributes, globalWordCount: 222 })).precondition?.validUseCount).toBe(7)
    }
    expect((await node.check({})).precondition?.status?.code ?? 0).toBe(0)
  })

  it('logs an unexpected failure and does not tell the caller about it', async () => {
    const node = await start(failing(new Error('secret path')))
    await expect(node.check({})).rejects.toMatchObject({ code: grpcStatus.INTERNAL, details: 'internal error' })
    expect(node.lines.join('')).toContain('secret path')
  })

  it('refuses malformed messages, ambiguous attributes and negative amounts', async () => {
    const node = await start(() => ({ answer: ALLOWED, quotas: new Map() }))
    const code = grpcStatus.INVALID_ARGUMENT
    await expect(node.callRaw('Check', Uint8Array.of(10, 5, 1))).rejects.toMatchObject({ code })
    const twice = { strings: { 2: 3 }, bools: { 2: true } }
    const details = 'duplicate attribute source.name'
    await expect(node.check({ attributes: twice })).rejects.toMatchObject({ code, details })
    await expect(node.check({ quotas: { q: { amount: -1n } } })).rejects.toMatchObject({ code })
    const spelled = { words: [`\u{1f600}${'\u{1f600}'.repeat(5_000)}`], strings: { [-1]: 3 }, bools: { [-1]: true } }
    await expect(node.check({ attributes: spelled })).rejects.toMatchObject({ code })
  })

  it('merges attributes that come in two parts, as protobuf asks', async () => {
    let name: unknown
    const node = await start((bag) => {
      name = [bag.get('source.name'), bag.get('source.uid')]
      return { answer: ALLOWED, quotas: new Map() }
    })
    const part = (words: string[], strings: Record<number, number>) =>
      toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes: { words, strings } }))
    await node.callRaw('Check', Buffer.concat([part(['one'], { 2: -1 }), part(['two'], { 3: -2 })]))
    expect(name).toEqual(['one', 'two'])
  })

  it('counts attributes that it cannot use', async () => {
    const node = await start((bag) => {
      bag.get('source.name')
      return { answer: ALLOWED, quotas: new Map() }
    })
    await node.check({ attributes: { int64s: { 2: 1n }, strings: { 900: 1 } } })
    const rendered = await node.meter.render()
    expect(rendered).toContain('intermix_mixer_ignored_attributes_total{reason="type-mismatch"} 1')
    expect(rendered).toContain('intermix_mixer_ignored_attributes_total{reason="undefined-index"} 1')
    expect(rendered).toContain('intermix_server_requests_total{door="mixer_check",code="OK"} 1')
  })
})

describe('mixerService: Report', () => {
  const unused: Check = () => ({ answer: ALLOWED, quotas: new Map() })

  it('hands the report on as it came', async () => {
    const node = await start(unused)
    const request = { attributes: [compress({ 'source.name': 'a' }), compress({ 'source.name': 'b' })] }
    expect(await node.report(request)).toHaveLength(0)
    await node.report(request)
    expect(node.batches.map(({ format, count }) => [format, count])).toEqual([
      ['mixer-report', 2],
      ['mixer-report', 2],
    ])
    const bags = decodeMixerReport(node.batches[0]?.payload ?? new Uint8Array(0), VOCABULARY)
    expect(bags.map((bag) => bag.get('source.name'))).toEqual(['a', 'b'])
    expect(new Set(node.batches.map(({ id }) => id)).size).toBe(2)
    for (const { id } of node.batches) expect(id).toMatch(/^[A-Za-z0-9-]+$/)
  })

  it('is unavailable where the node cannot take it, at once or later', async () => {
    const refusal = new IntermixError('OVERLOADED', 'no room')
    for (const outcome of [refusal, Promise.resolve(refusal)]) {
      const node = await start(failing(new Error('not asked')), outcome)
      const report = node.report({ attributes: [compress({ 'source.name': 'a' })], globalWordCount: 222 })
      await expect(report).rejects.toMatchObject({ code: grpcStatus.UNAVAILABLE, details: 'no room' })
    }
  })

  it('takes an empty report without a word', async () => {
    const node = await start(unused)
    expect(await node.report({ globalWordCount: 999 })).toHaveLength(0)
    expect(node.batches).toEqual([])
  })

  it('takes the good records and then says what is wrong with the others', async () => {
    const node = await start(unused)
    const attributes = [{ strings: { 2: 3 } }, { strings: { 2: -9 } }, { strings: { 2: 3 }, bools: { 2: true } }, {}]
    await expect(node.report({ attributes })).rejects.toMatchObject({
      code: grpcStatus.UNKNOWN,
      details: [
        '2 errors occurred:',
        '\t* record 1: attribute index -9 is not defined in the available dictionaries',
        '\t* record 2: duplicate attribute source.name',
      ].join('\n'),
    })
    expect(node.batches.map(({ count }) => count)).toEqual([2])
    expect(decodeMixerReport(node.batches[0]?.payload ?? new Uint8Array(0), VOCABULARY)).toHaveLength(2)
  })

  it('takes nothing where no record is good, and names the first problems only', async () => {
    const node = await start(unused)
    const attributes = Array.from({ length: 30 }, () => ({ strings: { 2: 3 }, bools: { 2: true } }))
    await expect(node.report({ attributes })).rejects.toThrow(/30 errors occurred:(.|\n)*and 20 more$/)
    expect(node.batches).toEqual([])
  })

  it('refuses a report with a record that is too large, whole, and takes one with a wrong address', async () => {
    const node = await start(unused)
    const large = compress({ 'request.headers': new Map(Array.from({ length: 1_001 }, (_, n) => [`x-${n}`, '1'])) })
    const long = compress({ 'source.name': 'a'.repeat(300_000) })
    for (const attributes of [large, long]) {
      const report = node.report({ attributes: [attributes], globalWordCount: 222 })
      await expect(report).rejects.toMatchObject({ code: grpcStatus.INVALID_ARGUMENT })
    }
    expect(node.batches).toEqual([])
    await node.report({ attributes: [compress({ 'source.ip': Uint8Array.of(1) })], globalWordCount: 222 })
    expect(node.batches).toHaveLength(1)
  })

  it('refuses a report that is malformed anywhere, whole', async () => {
    const node = await start(unused)
    const payload = Uint8Array.of(10, 6, 18, 4, 8, 4, 16, 6, 10, 2, 18, 9)
    await expect(node.callRaw('Report', payload)).rejects.toMatchObject({ code: grpcStatus.INVALID_ARGUMENT })
    expect(node.batches).toEqual([])
  })
})
