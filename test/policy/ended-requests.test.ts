// Places in flight are given back when a report says that their request has ended.

import { beforeEach, describe, expect, it } from 'vitest'
import { type AttributeBag, MapBag } from '../../src/kernel/attribute-bag.ts'
import type { ReportBatch } from '../../src/kernel/report.ts'
import type { ReportOutcome } from '../../src/kernel/services.ts'
import { Code } from '../../src/kernel/status.ts'
import { EndedRequests } from '../../src/policy/ended-requests.ts'
import { NormalizingCheck, readingsOf } from '../../src/policy/normalizing-check.ts'
import { encodeRecords } from '../../src/wire/record-json.ts'
import { ATTRIBUTES, REPORT_FORMATS as formats } from '../../src/wire/report-formats.ts'
import { type Attributes, document, goodPolicy, type PolicyNode, startNode } from './policy-node.ts'

const PLACES = 2
const IN_FLIGHT = { maxAmount: PLACES, rateLimitAlgorithm: 'CONCURRENCY', validDuration: '60s' }

const REQUEST_ID = 'request.headers["x-request-id"]'

interface Spec {
  readonly deduplicationId?: object
  readonly quota?: object
  readonly match?: string
  readonly mode?: string
  readonly limits?: readonly object[]
}

function policy({
  quota = {},
  match = 'true',
  mode = 'enforce',
  limits = [IN_FLIGHT],
  deduplicationId = { deduplicationId: REQUEST_ID },
}: Spec) {
  const instances = [
    {
      name: 'flights',
      template: 'quota',
      params: {
        dimensions: { who: 'request.headers["x-user"]', path: 'request.path' },
        ...deduplicationId,
      },
    },
    {
      name: 'all',
      template: 'quota',
      params: { dimensions: {}, deduplicationId: REQUEST_ID },
    },
  ]
  const quotas = [
    { name: 'flights', limits, ...quota },
    { name: 'all', limits: [{ ...IN_FLIGHT, maxAmount: 100 }] },
  ]
  const spec = { match, mode, actions: [{ handler: { adapter: 'quota', params: { quotas } }, instances }] }
  return goodPolicy(
    JSON.stringify({ apiVersion: 'intermix.dev/v1', kind: 'rule', metadata: { name: 'limit' }, spec }),
    document({ kind: 'handler', name: 'deny', spec: { compiledAdapter: 'denier' } }),
    document({ kind: 'instance', name: 'nothing', spec: { compiledTemplate: 'checknothing' } }),
    document({
      kind: 'rule',
      name: 'closed',
      spec: { match: 'request.path == "/closed"', actions: [{ handler: 'deny', instances: ['nothing'] }] },
    }),
  )
}

const request = (id: string, more: Attributes = {}): Attributes => ({
  'request.headers': new Map([
    ['x-user', 'ann'],
    ['x-request-id', id],
  ]),
  'request.path': '/a',
  ...more,
})

let node: PolicyNode
let ended: EndedRequests
let batches: number
/** What the reports behind are told of, and what they say. */
let accepted: string[]
let outcome: ReportOutcome

async function begin(spec: Spec = {}): Promise<void> {
  node = await startNode(policy(spec))
  const { clock, meter, requests } = node
  ended = new EndedRequests({ clock, meter, formats, requests, readings: (bag) => readingsOf(bag, new Set()) })
  batches = 0
  accepted = []
  outcome = undefined
}

beforeEach(() => begin())

async function check(id: string, more?: Attributes): Promise<number> {
  const normal = new NormalizingCheck({ check: node.engine, allowed: new Set(), meter: node.meter })
  const { answer } = await normal.check(MapBag.of(request(id, more)), { timeoutMs: 1_000 })
  return answer.status.code
}

function batchOf(payload: Uint8Array, count: number): ReportBatch {
  return { id: `b${batches++}`, format: ATTRIBUTES.name, count, payload, acceptedAt: 0 }
}

function send(batch: ReportBatch) {
  const service = ended.listeningTo({
    accept: ({ id }) => {
      accepted.push(id)
      return outcome
    },
  })
  return service.accept(batch, 'memory')
}

async function report(...records: readonly Attributes[]): Promise<void> {
  const bags: AttributeBag[] = records.map((record) => MapBag.of(record))
  expect(send(batchOf(encodeRecords(bags), bags.length))).toBe(outcome)
  await ended.idle()
}

const counted = (result: string) => node.meter.values.get(`quota_ended_total ${result}`) ?? 0
const USED_UP = Code.RESOURCE_EXHAUSTED

describe('a place in flight', () => {
  it('is free at once when a report says that its request has ended', async () => {
    expect([await check('1'), await check('2'), await check('3')]).toEqual([0, 0, USED_UP])
    await report(request('1', { 'response.code': 200n }))
    expect([await check('4'), await check('5')]).toEqual([0, USED_UP])
    expect(counted('given_back')).toBe(2)
  })

  it('is given back once, however often its end is reported, and by nobody else', async () => {
    expect([await check('1'), await check('2')]).toEqual([0, 0])
    await report(request('1'), request('1'))
    await report(request('1'), request('unknown'), request('2', { 'request.path': '/b' }))
    expect([await check('3'), await check('4')]).toEqual([0, USED_UP])
    // Of both quotas once; of "2" the quota that does not count by path.
    expect(counted('given_back')).toBe(3)
    expect(counted('not_there')).toBe(7)
  })

  it('expires where nobody reports, and what was denied had none', async () => {
    expect([await check('1'), await check('2')]).toEqual([0, 0])
    expect(await check('9', { 'request.path': '/closed' })).toBe(Code.FAILED_PRECONDITION)
    await report(request('9', { 'request.path': '/closed' }))
    expect(counted('given_back')).toBe(0)
    expect(await check('3')).toBe(USED_UP)
    await node.clock.advance(60_001)
    expect([await check('4'), await check('5'), await check('6')]).toEqual([0, 0, USED_UP])
  })

  it('is that of the path as policy sees it, and of either reading', async () => {
    await check('1', { 'request.path': '//%61' })
    await report(request('1', { 'request.path': '//%61' }))
    expect([await check('2'), await check('3')]).toEqual([0, 0])
    await begin()
    await check('1', { 'request.path': '/x/../a' })
    await report(request('1', { 'request.path': '/x/../a' }))
    expect(counted('given_back')).toBe(2)
    expect([await check('2'), await check('3')]).toEqual([0, 0])
    await report(request('4', { 'request.path': '/x%2Fa' }))
    expect(counted('unreadable')).toBe(0)
  })

  it('stays while a connection only goes on', async () => {
    expect([await check('1'), await check('2')]).toEqual([0, 0])
    await report(request('1', { 'connection.event': 'open' }), request('1', { 'connection.event': 'continue' }))
    expect(await check('3')).toBe(USED_UP)
    await report(request('1', { 'connection.event': 'close' }))
    expect(await check('3')).toBe(0)
  })

  it('is given back by callers alone where the handler says so, by its id', async () => {
    await begin({ quota: { release: 'caller' } })
    expect([await check('1'), await check('2')]).toEqual([0, 0])
    await report(request('1'))
    expect(await check('3')).toBe(USED_UP)
    const back = new Map([['flights', { amount: -1, bestEffort: false }]])
    const give = async (attributes: Attributes, deduplicationId?: string) => {
      const more = deduplicationId === undefined ? {} : { deduplicationId }
      return (await node.quotas.charge(MapBag.of(attributes), back, { timeoutMs: 1_000, ...more })).get('flights')
    }
    // The id of the instance, or the same said by the caller.
    expect(await give(request('1'))).toMatchObject({ status: { code: 0 }, granted: -1 })
    expect([await check('3'), await check('4')]).toEqual([0, USED_UP])
    await give(request('other'), '2')
    await give(request('other'), 'nobody')
    expect([await check('4'), await check('5')]).toEqual([0, USED_UP])
  })

  it('is given back although a match failed, or the rule is in shadow', async () => {
    await begin({ match: 'int(request.headers["x-level"]) < 5', mode: 'shadow' })
    const odd = (id: string): Attributes => ({
      'request.path': '/a',
      'request.headers': new Map([
        ['x-user', 'ann'],
        ['x-request-id', id],
        ['x-level', '1'],
      ]),
    })
    expect(await check('1', odd('1'))).toBe(0)
    const failing = new Map([...(odd('1')['request.headers'] as Map<string, string>), ['x-level', 'one']])
    await report({ ...odd('1'), 'request.headers': failing })
    expect(counted('given_back')).toBe(2)
  })

  it('does not give a rate back that is charged beside it', async () => {
    await begin({ limits: [IN_FLIGHT, { maxAmount: 3, validDuration: '60s' }] })
    for (const id of ['1', '2', '3']) {
      expect(await check(id)).toBe(0)
      await report(request(id))
    }
    expect(await check('4')).toBe(USED_UP)
  })
})

describe('a report', () => {
  it('that cannot be read, or lacks what a quota counts by, is counted and holds nothing up', async () => {
    await check('1')
    void send(batchOf(Buffer.from('no JSON'), 3))
    await report({ 'request.path': '/a' }, request('1'))
    expect(counted('unreadable')).toBe(3)
    expect(counted('not_evaluated')).toBe(2)
    expect(counted('given_back')).toBe(2)
  })

  it('that is refused is not looked at until it is taken', async () => {
    await check('1')
    outcome = { code: 'OVERLOADED', retryable: true } as ReportOutcome
    await report(request('1'))
    expect(counted('given_back')).toBe(0)
    outcome = undefined
    await report(request('1'))
    expect(counted('given_back')).toBe(2)
    expect(accepted).toHaveLength(2)
  })

  it('beyond the bound of what may wait is taken and counted', async () => {
    const large = batchOf(new Uint8Array(5 * 1024 * 1024), 7)
    void send(large)
    void send({ ...large, id: 'large' })
    await ended.idle()
    expect(accepted).toHaveLength(2)
    expect([counted('dropped'), counted('unreadable')]).toEqual([7, 7])
    void send({ ...large, id: 'later' })
    await ended.idle()
    expect(counted('dropped')).toBe(7)
  })
})

it('warns where nothing names the requests that are in flight', () => {
  const warnings = (spec: Spec) => policy(spec).warnings.map(({ message }) => message)
  expect(warnings({})).toEqual([])
  expect(warnings({ deduplicationId: {} })).toEqual([
    '"flights.instance.istio-system" holds a place of "limit-1.handler.istio-system" until its request ends, but has no deduplicationId to name the request by: the fail policy decides about every request.',
  ])
  expect(warnings({ deduplicationId: {}, quota: { release: 'caller' } })).toEqual([])
})
