// What the filter answers of itself, and when it asks.
import { beforeAll, describe, expect, it } from 'vitest'
import type { CheckedModule } from '../helpers/proxy-wasm/vm.ts'
import { ASK, compiledFilter, ended, FilterBench } from './filter-bench.ts'

let module: CheckedModule
beforeAll(async () => {
  module = await compiledFilter()
})

const DENY = { status: { code: 7, message: 'no' } }

describe('a request like one that was answered', () => {
  it('is answered without asking a node', async () => {
    const bench = await FilterBench.start({ module })
    expect(await bench.ask()).toMatchObject({ status: 0, tier: 'backend' })
    expect(await bench.ask([['x-other', '1']])).toMatchObject({ status: 0, tier: 'filter' })
    expect(bench.asked).toEqual(['/a'])
    expect(await bench.ask([[':path', '/b']])).toMatchObject({ tier: 'backend' })
    expect(bench.asked).toEqual(['/a', '/b'])
    expect(await bench.metric('intermix.answers.kept')).toBe(1)
    expect(await bench.metric('intermix.answers.node')).toBe(2)
    expect(await bench.metric('intermix.entries')).toBe(2)
  })

  it('is denied as that was, with status, body and headers', async () => {
    const bench = await FilterBench.start({ module })
    bench.say = () => ({ ...DENY, directResponse: { code: 302, body: 'see', headers: { Location: '/login' } } })
    for (const tier of ['backend', 'filter']) {
      expect(await bench.ask()).toMatchObject({
        status: 302,
        tier,
        body: 'see',
        headers: expect.arrayContaining([['location', '/login']]),
      })
    }
    bench.say = () => DENY
    for (const tier of ['backend', 'filter']) {
      expect(await bench.ask([[':path', '/b']])).toMatchObject({
        status: 403,
        tier,
        body: 'says.handler.istio-system:no',
      })
    }
  })

  it('is changed as that was', async () => {
    const operation = (name: string, kind: string, ...values: string[]) => ({ name, operation: kind, values })
    const rules = {
      all: {
        ...ASK,
        requestHeaderOperations: [
          operation('x-set', 'REPLACE', '"new"'),
          operation('x-more', 'APPEND', 'request.path'),
          { name: 'x-gone', operation: 'REMOVE' },
          operation('host', 'APPEND', '"b.example"'),
        ],
        responseHeaderOperations: [operation('x-answer', 'REPLACE', '"yes"')],
      },
    }
    const bench = await FilterBench.start({ module, rules })
    const sent = [
      ['x-set', 'old'],
      ['x-set', 'older'],
      ['x-more', 'some'],
      ['x-gone', '1'],
    ] as const
    for (const tier of ['backend', 'filter']) {
      const request = bench.request(sent)
      await bench.clock.advance(20)
      expect(request.filterState.get('intermix.tier')?.toString()).toBe(tier)
      expect(request.headers.filter(([name]) => name.startsWith('x-') || name === ':authority')).toEqual([
        [':authority', 'b.example'],
        ['x-set', 'new'],
        ['x-more', 'some,/a'],
      ])
      expect(
        request.respond([
          [':status', '200'],
          ['x-answer', 'no'],
        ]),
      ).toEqual([
        [':status', '200'],
        ['x-answer', 'yes'],
      ])
      request.finish()
    }
  })

  it('has the values of all lines of a header, the empty ones, too', async () => {
    const bench = await FilterBench.start({ module, value: 'request.headers["x-role"]' })
    const roles = [['b'], ['', 'b'], ['b', ''], ['', '', 'b'], ['']]
    for (const tier of ['backend', 'filter']) {
      for (const lines of roles) {
        const request = await bench.ask(lines.map((line) => ['x-role', line] as const))
        expect(request, JSON.stringify(lines)).toMatchObject({ status: 0, tier })
      }
    }
    expect(bench.asked).toEqual(['b', ',b', 'b,', ',,b', ''])
  })

  it('is a question for a node with all its lines where it has more than the filter compares', async () => {
    const bench = await FilterBench.start({ module, value: 'request.headers["x-300"]' })
    bench.say = (value) => (value === 'no' ? DENY : {})
    const lines = (last: string) => Array.from({ length: 301 }, (_, i) => [`x-${i}`, i === 300 ? last : ''] as const)
    expect(await bench.ask(lines('no'))).toMatchObject({ status: 403, tier: 'backend' })
    expect(await bench.ask(lines('no'))).toMatchObject({ status: 403, tier: 'local' })
    expect(await bench.ask(lines('yes'))).toMatchObject({ status: 0, tier: 'backend' })
    expect(bench.asked).toEqual(['no', 'yes'])
  })

  it('waits with all that are like it for one answer', async () => {
    const bench = await FilterBench.start({ module })
    const { promise, resolve } = Promise.withResolvers<object>()
    bench.say = () => promise
    const requests = Array.from({ length: 5 }, () => bench.request())
    const other = bench.request([[':path', '/b']])
    // A client that goes while others wait for what it has asked.
    requests[0]?.finish()
    await bench.clock.advance(40)
    expect(requests.slice(1).map(({ state }) => state)).toEqual(Array.from({ length: 4 }, () => 'waiting'))
    expect(bench.asked).toEqual(['/a', '/b'])
    resolve({})
    await bench.clock.advance(20)
    expect(requests.slice(1).map((request) => ended(request).tier)).toEqual(Array.from({ length: 4 }, () => 'filter'))
    expect(ended(other)).toMatchObject({ status: 0, tier: 'backend' })
    expect(bench.host.openContexts).toBe(0)
  })

  it('is a question for a node where it reads what the filter does not', async () => {
    const bench = await FilterBench.start({
      module,
      rules: { all: { ...ASK, match: 'request.time > timestamp("2000-01-01T00:00:00Z")' } },
    })
    expect((await bench.ask()).tier).toBe('backend')
    expect((await bench.ask()).tier).toBe('local')
    expect(await bench.metric('intermix.not_kept.unread')).toBeGreaterThan(0)
  })
})

describe('a kept answer', () => {
  it('is given as long as it is valid, and as often', async () => {
    const bench = await FilterBench.start({ module, settings: { refreshes_per_second: 0 } })
    bench.say = (path) => (path === '/a' ? { validForMs: 1_000 } : { validUses: 10 })
    await bench.ask()
    await bench.clock.advance(900)
    expect((await bench.ask()).tier).toBe('filter')
    await bench.clock.advance(100)
    expect((await bench.ask()).tier).toBe('backend')
    const tiers = []
    for (let i = 0; i < 100; i++) tiers.push((await bench.ask([[':path', '/b']])).tier)
    // Each verdict of the handler is given by all together as often as it says, and once more.
    expect(bench.asked.filter((path) => path === '/b').length).toBe(Math.ceil(100 / 11))
    expect(tiers.filter((tier) => tier === 'filter').length).toBeGreaterThan(10)
  })

  it('is asked for again before it ends', async () => {
    const bench = await FilterBench.start({ module })
    bench.say = () => ({ validForMs: 1_000 })
    await bench.ask()
    const tiers = []
    for (let i = 0; i < 150; i++) {
      await bench.clock.advance(20)
      tiers.push((await bench.ask()).tier)
    }
    // A node that has asked its handler again meanwhile may answer before that has.
    expect(tiers.filter((tier) => tier === 'filter').length).toBeGreaterThan(140)
    expect(await bench.metric('intermix.refreshed')).toBeGreaterThan(2)
    expect(bench.asked.length).toBeLessThan(6)
  })

  it('goes with its config, and stays where the rules for it do', async () => {
    const others = (validFor: string) => ({ ...ASK, namespace: 'b', maxValidFor: validFor })
    const bench = await FilterBench.start({ module, rules: { all: ASK, others: others('5s') } })
    const tierOf = async (path: string, namespace: string) =>
      (await bench.ask([[':path', path]], { local: `spiffe://c/ns/${namespace}/sa/x` })).tier
    for (const namespace of ['a', 'b']) for (const path of ['/1', '/2']) await tierOf(path, namespace)
    await bench.configure({ all: ASK, others: others('6s') })
    // Which rules there are for such a request has to be told first.
    expect(await tierOf('/1', 'a')).toBe('local')
    expect(await tierOf('/2', 'a')).toBe('filter')
    expect(await tierOf('/1', 'b')).not.toBe('filter')
    expect(await tierOf('/2', 'b')).not.toBe('filter')
    bench.say = () => DENY
    await bench.configure({ all: { ...ASK, match: 'request.path == "/none"' } })
    expect(await bench.ask([[':path', '/none']])).toMatchObject({ status: 403 })
    expect(await bench.ask([[':path', '/1']])).toMatchObject({ status: 0 })
  })

  it('is not found by requests of which a node would see another path, host or method', async () => {
    const bench = await FilterBench.start({
      module,
      normalizes: true,
      value: 'request.method + request.host + request.path',
    })
    const tierOf = async (path: string, host = 'a.example', method = 'GET') =>
      (
        await bench.ask([
          [':path', path],
          [':authority', host],
          [':method', method],
        ])
      ).tier
    expect(await tierOf('/a')).toBe('backend')
    expect(await tierOf('/a')).toBe('filter')
    // Alike in normal form, so that the node has an answer.
    for (const [path, host, method] of [
      ['/%61'],
      ['//a'],
      ['/a', 'A.example'],
      ['/a', 'a.example:80'],
      ['/a', 'a.example', 'get'],
    ] as const) {
      expect(await tierOf(path, host, method)).toBe('local')
      expect(await tierOf(path, host, method)).toBe('filter')
    }
    expect(await bench.ask([[':path', '/a/%2e%2e/%00']])).toMatchObject({ status: 400 })
    expect(await bench.ask([[':path', '/a/%2e%2e/%00']])).toMatchObject({ status: 400 })
  })

  it('is one of at most so many, and so many bytes', async () => {
    const few = await FilterBench.start({ module, settings: { max_entries: 50 } })
    for (let i = 0; i < 150; i++) await few.ask([[':path', `/${i}`]])
    expect(await few.metric('intermix.entries')).toBeLessThanOrEqual(50)
    expect(await few.metric('intermix.evicted')).toBeGreaterThanOrEqual(100)
    const small = await FilterBench.start({ module, settings: { max_bytes: 65_536 } })
    const { memorySize } = small.host
    for (let i = 0; i < 400; i++) await small.ask([[':path', `/${'x'.repeat(2_000)}${i}`]])
    expect(await small.metric('intermix.entry_bytes')).toBeLessThanOrEqual(65_536)
    expect(small.host.memorySize).toBeLessThan(memorySize + 2_000_000)
  })
})
