// Calls that a program makes with undici: each is asked about, and does what policy says.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Agent, Client, type Dispatcher, fetch as undiciFetch, request } from 'undici'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { traceOf, withTrace } from '../../../src/client/library/trace-context.ts'
import { intermix, type UndiciOptions } from '../../../src/client/library/undici.ts'
import { IntermixError } from '../../../src/kernel/errors.ts'
import { isStringMap } from '../../../src/kernel/value.ts'
import { answerOf } from '../../server/fixtures.ts'
import { testClient } from './support.ts'

const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

describe('the interceptor of undici', () => {
  let server: Server
  let origin: string
  let got: Pick<IncomingMessage, 'headers' | 'url' | 'method'>[]
  let given: ReturnType<typeof testClient>
  let agent: Agent

  beforeEach(async () => {
    got = []
    given = testClient()
    agent = new Agent()
    server = createServer((message, response) => {
      const { headers, url, method } = message
      got.push({ headers, url, method })
      response.writeHead(201, { 'x-old': 'old', 'x-own': 'own', 'content-length': '2' }).end('ok')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterEach(async () => {
    await agent.close()
    server.close()
  })

  const dispatcher = (options: Omit<UndiciOptions, 'client'> = {}) =>
    agent.compose(intermix({ client: given.client, ...options }))

  it("refuses a fetch of another undici, such as Node's own may be, in place of letting it wait for ever", async () => {
    const oldHandler = { onConnect: () => undefined, onHeaders: () => true, onError: () => undefined }
    const dispatch = () =>
      dispatcher().dispatch({ method: 'GET', path: '/', origin }, oldHandler as Dispatcher.DispatchHandler)
    expect(dispatch).toThrow('take the fetch of the package undici')
    expect(got).toEqual([])
  })

  it('tells policy what is sent, to the letter', async () => {
    const answer = await request(`${origin}/a/%2e%2e/b`, {
      dispatcher: dispatcher({ attributes: { 'destination.service.name': 'books' } }),
      method: 'POST',
      body: 'x',
      query: { q: 'ä', r: ['1', '2'] },
      headers: ['X-Twice', '1', 'x-twice', '2'],
    })
    expect(await answer.body.text()).toBe('ok')
    const bag = given.check.lastBag
    expect(bag.get('request.path')).toBe(got[0]?.url)
    expect(bag.get('request.path')).toContain('q=%C3%A4&r=1&r=2')
    expect(bag.get('request.method')).toBe('POST')
    expect(bag.get('request.host')).toBe(new URL(origin).host)
    expect(bag.get('request.scheme')).toBe('http')
    expect(bag.get('context.reporter.kind')).toBe('outbound')
    expect(bag.get('destination.service.name')).toBe('books')
    const headers = bag.get('request.headers')
    expect(headers !== undefined && isStringMap(headers) && headers.get('x-twice')).toBe('1,2')
    expect(got[0]?.headers['x-twice']).toBe('1, 2')
  })

  it('changes the headers of both sides, also for fetch', async () => {
    given.check.decide = async () => ({
      answer: answerOf({
        requestHeaders: [
          { name: 'x-user', value: 'amy', operation: 'REPLACE' },
          { name: 'x-secret', value: '', operation: 'REMOVE' },
        ],
        responseHeaders: [
          { name: 'x-old', value: '', operation: 'REMOVE' },
          { name: 'x-own', value: 'too', operation: 'APPEND' },
        ],
      }),
      quotas: new Map(),
    })
    const headers = { 'X-Secret': 's', 'x-user': 'eve' }
    const answer = await request(`${origin}/`, { dispatcher: dispatcher(), headers })
    expect(answer.headers['x-own']).toBe('own, too')
    await answer.body.dump()
    const fetched = await undiciFetch(`${origin}/`, { dispatcher: dispatcher(), headers })
    expect([fetched.headers.get('x-own'), fetched.headers.get('x-old'), await fetched.text()]).toEqual([
      'own, too',
      null,
      'ok',
    ])
    expect(answer.headers['x-old']).toBeUndefined()
    for (const { headers: sent } of got) expect([sent['x-user'], sent['x-secret']]).toEqual(['amy', undefined])
    expect(got).toHaveLength(2)
  })

  it('answers with the denial, and the server hears nothing', async () => {
    const direct = { code: 418, body: 'teapot', headers: { 'X-Reason': 'closed' } }
    given.check.answer({ status: { code: 7, message: 'no' }, directResponse: direct })
    const denied = await request(`${origin}/`, { dispatcher: dispatcher(), method: 'POST', body: 'x' })
    expect([denied.statusCode, denied.headers['x-reason'], await denied.body.text()]).toEqual([418, 'closed', 'teapot'])
    const fetched = await undiciFetch(`${origin}/`, { dispatcher: dispatcher() })
    expect([fetched.status, fetched.headers.get('x-reason'), await fetched.text()]).toEqual([418, 'closed', 'teapot'])
    given.check.decide = async () => {
      throw new IntermixError('NOT_READY', 'no node is known')
    }
    const failed = await request(`${origin}/`, { dispatcher: dispatcher() })
    expect([failed.statusCode, await failed.body.text()]).toEqual([503, 'no node is known'])
    expect(got).toHaveLength(0)
    const passed = await request(`${origin}/`, { dispatcher: dispatcher({ onFailure: 'allow' }) })
    expect([passed.statusCode, await passed.body.text()]).toEqual([201, 'ok'])
  })

  it('works with a client of one origin, and hands on what goes wrong', async () => {
    const one = new Client(origin)
    const checked = one.compose(intermix({ client: given.client }))
    const answer = await checked.request({ path: '/x', method: 'GET', origin })
    expect([answer.statusCode, await answer.body.text()]).toEqual([201, 'ok'])
    await one.close()
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
    given.check.decide = async () => ({ answer: answerOf(), quotas: new Map() })
    await expect(request(`${origin}/`, { dispatcher: dispatcher() })).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(given.records.map((record) => record.get('response.code'))).toEqual([201n, 0n])
  })

  it('reports calls with what they brought', async () => {
    await (await request(`${origin}/x`, { dispatcher: dispatcher() })).body.dump()
    await expect.poll(() => given.records.length).toBe(1)
    const [record] = given.records
    expect(record?.get('response.code')).toBe(201n)
    expect(record?.get('response.size')).toBe(2n)
    expect(record?.get('request.path')).toBe('/x')
    await (await request(`${origin}/x`, { dispatcher: dispatcher({ report: false }) })).body.dump()
    await (await request(`${origin}/x`, { dispatcher: dispatcher({ skip: () => true }) })).body.dump()
    expect([given.records.length, given.check.asked.length]).toEqual([1, 2])
  })

  it('carries the trace of the request for which it is made, unless it has one', async () => {
    const trace = traceOf((name) => ({ traceparent: TRACE, tracestate: 'a=1' })[name])
    const call = async (options: Omit<UndiciOptions, 'client'>, headers: Record<string, string> = {}) => {
      await withTrace(trace, async () =>
        (await request(`${origin}/`, { dispatcher: dispatcher(options), headers })).body.dump(),
      )
      return [got.at(-1)?.headers['traceparent'], got.at(-1)?.headers['tracestate']]
    }
    expect(await call({})).toEqual([TRACE, 'a=1'])
    const headers = given.check.lastBag.get('request.headers')
    expect(headers !== undefined && isStringMap(headers) && headers.get('traceparent')).toBe(TRACE)
    expect(await call({}, { Traceparent: 'own' })).toEqual(['own', undefined])
    expect(await call({ trace: false })).toEqual([undefined, undefined])
  })
})
