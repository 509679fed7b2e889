import { request as httpRequest } from 'node:http'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { inject } from '../helpers/inject.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { ReportAck } from '../../src/kernel/services.ts'
import { parseIp } from '../../src/kernel/ip-address.ts'
import { parseDuration } from '../../src/kernel/time.ts'
import { Code } from '../../src/kernel/status.ts'
import type { StringMap } from '../../src/kernel/value.ts'
import { createHttpServer, type HttpServer } from '../../src/server/http.ts'
import { parseJsonBody } from '../../src/server/json-body.ts'
import { decodeRecords } from '../../src/wire/record-json.ts'
import { answerOf, dependencies, type RecordingCheck } from './fixtures.ts'
import { HOSTS } from './hosts.ts'

interface ErrorBody {
  readonly error: {
    readonly code: string
    readonly message: string
    readonly problems: readonly { path: string; message: string }[]
  }
}

describe.each(HOSTS)('the HTTP API on %s', (_, createHost) => {
  let given: ReturnType<typeof dependencies>
  let check: RecordingCheck
  let server: HttpServer

  beforeEach(() => {
    given = dependencies()
    check = given.check
    server = createHttpServer({ ...given, maxBodyBytes: 2_000 }, createHost)
  })
  afterEach(() => server.drain(1_000))

  const post = (url: string, payload: unknown, headers: Record<string, string> = {}) =>
    inject(server, {
      method: 'POST',
      url,
      headers,
      payload: typeof payload === 'string' ? payload : JSON.stringify(payload),
    })

  describe('a body', () => {
    it.each([
      ['{"attributes": {"request.path": "/\\ud800"}}', 'attributes.request.path holds half of a surrogate pair'],
      ['{"attributes": {"request.headers": {"x-\\udc00": "a"}}}', 'attributes.request.headers.x-'],
      ['{"attributes": {}, "deduplicationId": "\\ud83d"}', 'deduplicationId holds half of a surrogate pair'],
      ['{"attributes": {"source.labels": {"a": ["\\uD800\\uD800"]}}}', 'attributes.source.labels.a.0 holds half'],
    ])('with half of a surrogate pair is refused: %s', async (body, message) => {
      for (const url of ['/v1/check', '/v1/report']) {
        const response = await post(url, body)
        expect(response.statusCode).toBe(400)
        expect(response.json<ErrorBody>().error.message).toContain(message)
      }
      expect(check.asked).toEqual([])
      expect(given.meter.counts.get('requests_refused_total{http,ill-formed}')).toBe(2)
    })

    it.each([
      ['{"attributes": {"request.path": "/admin", "request.path": "/"}}', 'request.path'],
      ['{"attributes": {"request.path": "/admin", "request\\u002epath" : "/"}}', 'request.path'],
      ['{"attributes": {"request.headers": {"x-user": "eve", "a": "\\"}:{", "x-user": "ann"}}}', 'x-user'],
      ['{"attributes": {"request.path": "/admin"}, "attributes": {}}', 'attributes'],
      ['{"attributes": {"request.headers": {"__proto__": "a", "__proto__": "b"}}}', '__proto__'],
    ])('of a check is refused that has a name twice in one object: %s', async (body, name) => {
      const response = await post('/v1/check', body)
      expect(response.statusCode).toBe(400)
      expect(response.json<ErrorBody>().error.message).toContain(`the name "${name}" twice`)
      expect(check.asked).toEqual([])
      expect(given.meter.counts.get('requests_refused_total{http,repeated}')).toBe(1)
    })

    it('that has a name once in each object is taken, whatever its strings hold', () => {
      const text = fc.oneof(fc.string({ unit: fc.constantFrom('"', '\\', ':', '{', '}', ' ', 'a') }), fc.string())
      const names = fc.oneof(text, fc.constantFrom('__proto__', 'constructor'))
      const { json } = fc.letrec((tie) => ({
        json: fc.oneof(
          { depthSize: 'small' },
          fc.oneof(text, fc.integer(), fc.constant(null)),
          fc.array(tie('json'), { maxLength: 4 }),
          fc
            .uniqueArray(fc.tuple(names, tie('json')), { selector: ([name]) => name, maxLength: 4 })
            .map(Object.fromEntries),
        ),
      }))
      fc.assert(
        fc.property(json, fc.constantFrom(undefined, 1), (value, space) => {
          const body = JSON.stringify(value, null, space)
          expect(parseJsonBody(Buffer.from(body), { uniqueNames: true })).toEqual(JSON.parse(body))
        }),
      )
    })

    it('that is not valid leaves a line that says what is wrong', async () => {
      await post('/v1/check', { attributes: { 'request.pth': '/', 'request.size': 'big' } })
      expect(given.log.warnings[0]?.message).toMatch(
        /^a request was refused: the check is not valid: attributes.request.pth: .*manifest.* \(and 1 more\)$/,
      )
    })

    it('may hold whole pairs, and U+FFFD', async () => {
      const response = await post('/v1/check', '{"attributes": {"request.path": "/\\ud83d\\ude00\\ufffd"}}')
      expect(response.statusCode).toBe(200)
      expect(check.lastBag.get('request.path')).toBe('/😀\ufffd')
    })

    it('is UTF-8', async () => {
      const payload = Buffer.from('{"attributes": {"request.path": "/\xe9"}}', 'latin1')
      const response = await inject(server, { method: 'POST', url: '/v1/check', payload })
      expect([response.statusCode, response.json<ErrorBody>().error.message]).toEqual([400, 'the body is not UTF-8'])
    })

    it('has no more map entries and bytes than the settings say, in a check and in each record of a report', async () => {
      await server.drain(1_000)
      server = createHttpServer({ ...given, limits: { maxMapEntries: 3, maxAttributeBytes: 300 } }, createHost)
      const attributes = { 'source.labels': { a: '1', b: '2' }, 'request.headers': { c: '3', d: '4' } }
      const check4 = await post('/v1/check', { attributes })
      expect([check4.statusCode, check4.json<ErrorBody>().error.message]).toEqual([
        400,
        'attributes: more than 3 map entries; send fewer',
      ])
      const long = await post('/v1/check', { attributes: { 'request.path': 'a'.repeat(300) } })
      expect([long.statusCode, long.json<ErrorBody>().error.message]).toEqual([
        400,
        'the body has more than 300 bytes; send fewer attributes',
      ])
      const records = [{ 'request.path': 'a'.repeat(300) }, attributes]
      const report = await post('/v1/report', { records })
      expect([report.statusCode, report.json<ErrorBody>().error.message]).toEqual([
        400,
        'records[1]: more than 3 map entries; send fewer',
      ])
      expect(given.report.batches).toEqual([])
    })

    it('has names of headers in any case, and reads them in lower case', async () => {
      const headers = { 'X-User': 'ann', 'x-tag': '1', 'X-TAG': '2' }
      await post('/v1/check', { attributes: { 'request.headers': headers } })
      expect([...(check.lastBag.get('request.headers') as StringMap).entries()]).toEqual([
        ['x-user', 'ann'],
        ['x-tag', '1,2'],
      ])
      const twice = { authorization: 'a', Authorization: 'b' }
      expect((await post('/v1/check', { attributes: { 'request.headers': twice } })).statusCode).toBe(400)
    })
  })

  describe('POST /v1/check', () => {
    it('answers a denial with 200, in the body and in headers', async () => {
      check.answer({
        status: { code: Code.PERMISSION_DENIED, message: 'no' },
        validForMs: 4_000,
        validUses: 7,
        tier: 'local',
        ageMs: 3,
        referenced: [
          { name: 'source.labels', key: 'version', condition: 'EXACT', whole: false },
          { name: 'request.headers', key: undefined, condition: 'ABSENCE', whole: true },
        ],
        requestHeaders: [{ name: 'x-a', value: 'b', operation: 'REPLACE' }],
      })
      const response = await post('/v1/check', {
        attributes: { 'source.ip': '10.0.0.1', 'source.labels': { version: 'v1' } },
      })
      expect(response.statusCode).toBe(200)
      expect(response.json()).toEqual({
        status: { code: 7, message: 'no' },
        validForMs: 4000,
        validUses: 7,
        tier: 'local',
        ageMs: 3,
        referenced: [
          { name: 'source.labels', key: 'version', condition: 'EXACT' },
          { name: 'request.headers', condition: 'ABSENCE', whole: true },
        ],
        requestHeaders: [{ name: 'x-a', value: 'b', operation: 'REPLACE' }],
        responseHeaders: [],
      })
      expect(response.headers).toMatchObject({
        'x-intermix-status': '7',
        'x-intermix-tier': 'local',
        'x-intermix-age-ms': '3',
        'x-intermix-valid-for-ms': '4000',
      })
      expect(check.lastBag.get('source.ip')).toEqual(parseIp('10.0.0.1'))
      expect(check.asked[0]?.options).toMatchObject({ timeoutMs: 1_000 })
    })

    it('hands on deadline, quotas and deduplication id, and answers with the grants', async () => {
      check.decide = async () => ({
        answer: answerOf(),
        quotas: new Map([
          ['rate', { status: { code: 0, message: '' }, granted: 2, validForMs: 1_000, referenced: [] }],
        ]),
      })
      const response = await post('/v1/check', {
        attributes: {},
        timeoutMs: 50,
        quotas: { rate: { amount: 5, bestEffort: true } },
        deduplicationId: 'abc',
      })
      expect(check.asked[0]?.options).toMatchObject({
        timeoutMs: 50,
        quotas: new Map([['rate', { amount: 5, bestEffort: true }]]),
        deduplicationId: 'abc',
      })
      expect(response.json<{ quotas: unknown }>().quotas).toEqual({
        rate: { status: { code: 0, message: '' }, granted: 2, validForMs: 1000, referenced: [] },
      })
    })

    it('takes a quota of any name, and answers by that name', async () => {
      const grant = { status: { code: 0, message: '' }, granted: 1, validForMs: 1_000, referenced: [] }
      check.decide = async () => ({ answer: answerOf(), quotas: new Map([['__proto__', grant]]) })
      const payload = '{"attributes": {}, "quotas": {"__proto__": {"amount": 7}}}'
      const headers = { 'content-type': 'application/json' }
      const response = await inject(server, { method: 'POST', url: '/v1/check', headers, payload })
      expect(check.asked[0]?.options.quotas).toEqual(new Map([['__proto__', { amount: 7, bestEffort: false }]]))
      expect(response.body).toContain('"quotas":{"__proto__":{"status":{"code":0')
    })

    it('names all problems of a body at once, with hints', async () => {
      const response = await post('/v1/check', {
        attributes: { 'source.ipp': 'x', 'destination.port': 'http', 'source.labels': { a: 1 } },
        timeoutMs: -1,
        quota: {},
        quotas: { rate: { amount: 1.5 } },
      })
      expect(response.statusCode).toBe(400)
      const { error } = response.json<ErrorBody>()
      expect(error.code).toBe('INVALID_REQUEST')
      expect(error.problems.map(({ path }) => path)).toEqual([
        'quota',
        'attributes.source.ipp',
        'attributes.destination.port',
        'attributes.source.labels',
        'timeoutMs',
        'quotas.rate.amount',
      ])
      expect(error.problems[0]?.message).toContain('Did you mean "quotas"?')
      expect(error.problems[1]?.message).toContain('Did you mean "source.ip"?')
      expect(check.asked).toEqual([])
    })

    it.each([
      [
        '{"attributes": {"source.ip" "10.0.0.1"}}',
        `Expected ':' after property name in JSON at position 28 (line 1 column 29)`,
      ],
      ['{\n  "attributes": {},\n}', 'Expected double-quoted property name in JSON at position 22 (line 3 column 1)'],
      ['abc', `Unexpected token 'a', "abc" is not valid JSON`],
      ['', 'the body is empty'],
      ['[1, 2', `Expected ',' or ']' after array element in JSON at position 5 (line 1 column 6)`],
    ])('names the place where a body stops being JSON: %s', async (body, wanted) => {
      const response = await post('/v1/check', body, { 'content-type': 'application/json' })
      expect(response.statusCode).toBe(400)
      expect(response.json<ErrorBody>().error.message).toContain(wanted)
    })

    it.each(['text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=utf-8', ''])(
      'takes JSON under the content type %j',
      async (type) => {
        const response = await post('/v1/check', { attributes: {} }, type === '' ? {} : { 'content-type': type })
        expect(response.statusCode).toBe(200)
      },
    )

    it('fails with the status of the error where the node fails', async () => {
      check.decide = () => {
        throw new IntermixError('NOT_READY', 'no config yet')
      }
      const response = await post('/v1/check', { attributes: {} })
      expect(response.statusCode).toBe(503)
      expect(response.json()).toEqual({ error: { code: 'NOT_READY', message: 'no config yet', problems: [] } })
    })

    it('logs a bug and tells the caller no more than that there is one', async () => {
      check.decide = () => Promise.reject(new TypeError('a bug'))
      const response = await post('/v1/check', { attributes: {} })
      expect(response.statusCode).toBe(500)
      expect(response.json<ErrorBody>().error.message).toBe('internal error')
      expect(given.log.errors.length).toBe(1)
    })

    it('refuses a body beyond the bound', async () => {
      const response = await post('/v1/check', { attributes: { 'request.path': 'x'.repeat(3_000) } })
      expect(response.statusCode).toBe(413)
      expect(response.json<ErrorBody>().error.code).toBe('INVALID_REQUEST')
    })
  })

  describe('POST /v1/report', () => {
    it('says why a report is not taken, and when to send it again', async () => {
      given.report.decide = async () => new IntermixError('OVERLOADED', 'no room', { retryAfterMs: 1_500 })
      const response = await post('/v1/report', { records: [{ 'response.code': 200 }] })
      expect(response.statusCode).toBe(503)
      expect(response.headers['retry-after']).toBe('2')
      expect(response.json<ErrorBody>().error).toMatchObject({ code: 'OVERLOADED', message: 'no room' })
      expect(given.meter.counts.get('http_report_records_total{}')).toBeUndefined()
    })

    it('answers when the promise of its door is kept', async () => {
      const kept = Promise.withResolvers<undefined>()
      const asked: ReportAck[] = []
      given.report.decide = (_, ack) => {
        asked.push(ack)
        return kept.promise
      }
      const response = post('/v1/report', { records: [{ 'response.code': 200 }] })
      await expect.poll(() => asked).toEqual(['queued'])
      expect(given.report.batches).toEqual([])
      kept.resolve(undefined)
      expect((await response).statusCode).toBe(202)
      expect(given.report.batches).toHaveLength(1)
    })

    it('takes records as one batch', async () => {
      const response = await post('/v1/report', {
        records: [
          { 'response.duration': '5ms', 'response.code': 200 },
          { attributes: { 'source.labels': { a: 'b' } } },
        ],
      })
      expect([response.statusCode, response.json()]).toEqual([202, { accepted: 2 }])
      const [batch] = given.report.batches
      expect(batch).toMatchObject({ format: 'attributes', count: 2 })
      const bags = decodeRecords(batch?.payload ?? new Uint8Array())
      expect(bags[0]?.get('response.duration')).toEqual(parseDuration('5ms'))
      expect(bags[0]?.get('response.code')).toBe(200n)
      expect(bags[1]?.get('source.labels')).toEqual(new Map([['a', 'b']]))
    })

    it('takes nothing where one record is wrong, and names it', async () => {
      const response = await post('/v1/report', { records: [{}, { 'response.code': true }] })
      expect(response.statusCode).toBe(400)
      expect(response.json<ErrorBody>().error.problems[0]?.path).toBe('records[1].response.code')
      expect(given.report.batches).toEqual([])
    })

    it('accepts an empty list without a batch and refuses what is no list', async () => {
      expect((await post('/v1/report', { records: [] })).json()).toEqual({ accepted: 0 })
      expect((await post('/v1/report', { record: [] })).statusCode).toBe(400)
      expect(given.report.batches).toEqual([])
    })
  })

  it('says what is served where a path or a method is not', async () => {
    const missing = await inject(server, { method: 'GET', url: '/v1/chekc?x=y' })
    expect([missing.statusCode, missing.json<ErrorBody>().error.code]).toEqual([404, 'NOT_FOUND'])
    const wrong = await inject(server, { method: 'GET', url: '/v1/check' })
    expect([wrong.statusCode, wrong.headers['allow']]).toEqual([405, 'POST'])
    const malformed = await inject(server, { method: 'GET', url: '/v1/%zz' })
    expect([malformed.statusCode, malformed.json<ErrorBody>().error.code]).toEqual([400, 'INVALID_REQUEST'])
  })

  it('finishes requests under way on real sockets before it ends', async () => {
    const port = await server.listen({ host: '127.0.0.1', port: 0 })
    let answer: (() => void) | undefined
    const asked = new Promise<void>((started) => {
      check.decide = () => {
        started()
        return new Promise((resolve) => {
          answer = () => resolve({ answer: answerOf(), quotas: new Map() })
        })
      }
    })
    const status = new Promise<number | undefined>((resolve, reject) => {
      const request = httpRequest({ port, method: 'POST', path: '/v1/check' }, (response) => {
        response.resume()
        response.on('end', () => resolve(response.statusCode))
      })
      request.on('error', reject)
      request.end('{"attributes": {}}')
    })
    await asked
    const drained = server.drain(10_000)
    answer?.()
    expect(await status).toBe(200)
    await drained
  })
})
