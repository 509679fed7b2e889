// What becomes of requests where nodes are slow, lost, silent or away.
import { beforeAll, describe, expect, it } from 'vitest'
import type { CheckedModule } from '../helpers/proxy-wasm/vm.ts'
import { PARTITION_MAX_AGE_MS } from '../properties/wire-stream.ts'
import { ASK, compiledFilter, ended, FilterBench } from './filter-bench.ts'

let module: CheckedModule
beforeAll(async () => {
  module = await compiledFilter()
})

const B = [[':path', '/b']] as const

describe('a request that no node answers in time', () => {
  it.each([
    ['closed', { fail_policy: 'closed', status_on_error: 418 }, 418],
    ['open', { fail_policy: 'open' }, 0],
  ])('is judged by the fail policy: %s', async (_, settings, status) => {
    const bench = await FilterBench.start({ module, settings: { ...settings, timeout_ms: 300 } })
    await bench.ask(B)
    bench.cluster.set(0, 'silent')
    const request = bench.request()
    await bench.clock.advance(260)
    expect(request.state).toBe('waiting')
    await bench.clock.advance(60)
    expect(ended(request)).toMatchObject({ status, tier: 'none' })
    expect(await bench.metric('intermix.answers.none')).toBe(1)
    bench.cluster.set(0, 'away')
    // Also where nobody can be asked at all.
    expect(await bench.ask()).toMatchObject({ status, tier: 'none' })
  })

  it('passes where all rules that may apply to it are open, as far as nodes have told', async () => {
    const open = { ...ASK, failPolicy: 'open' }
    const rules = {
      open: { ...open, namespace: 'open' },
      closed: { ...ASK, namespace: 'closed' },
      one: { ...open, namespace: 'both' },
      other: { ...ASK, namespace: 'both', match: 'request.method == "GET"' },
    }
    const bench = await FilterBench.start({ module, rules })
    const ask = (namespace: string, path: string) =>
      bench.ask([[':path', path]], { local: `spiffe://c/ns/${namespace}/sa/x` })
    const namespaces = ['open', 'closed', 'both', 'empty']
    for (const namespace of namespaces) expect(await ask(namespace, '/a')).toMatchObject({ status: 0 })
    bench.cluster.set(0, 'away')
    expect(await ask('open', '/b')).toMatchObject({ status: 0, tier: 'none' })
    expect(await ask('closed', '/b')).toMatchObject({ status: 503, tier: 'none' })
    expect(await ask('both', '/b')).toMatchObject({ status: 503, tier: 'none' })
    // A namespace without rules is like another one.
    expect(await ask('unknown', '/b')).toMatchObject({ status: 0, tier: 'filter' })
    for (const namespace of namespaces) expect(await ask(namespace, '/a')).toMatchObject({ status: 0, tier: 'filter' })
  })

  it.each([
    ['closed', 503],
    ['rules', 503],
    ['open', 0],
  ])('is not judged by rules that have changed: %s', async (policy, status) => {
    const bench = await FilterBench.start({
      module,
      rules: { all: { ...ASK, failPolicy: 'open' } },
      settings: { fail_policy: policy },
    })
    await bench.ask()
    await bench.configure({ all: ASK })
    bench.cluster.set(0, 'away')
    expect(await bench.ask(B)).toMatchObject({ status, tier: 'none' })
  })

  it('waits no longer where it has waited for the answer to another one', async () => {
    const bench = await FilterBench.start({ module, settings: { timeout_ms: 200 } })
    // An answer that is for one request alone.
    bench.say = () => new Promise((resolve) => bench.clock.after(150, () => resolve({ validForMs: 0, validUses: 0 })))
    bench.request()
    const follower = bench.request()
    await bench.clock.advance(160)
    expect(follower.state).toBe('waiting')
    await bench.clock.advance(60)
    expect(ended(follower)).toMatchObject({ status: 503, tier: 'none' })
  })

  it('has what was kept beyond its life, within its bound', async () => {
    const bench = await FilterBench.start({
      module,
      handler: { staleIfError: '60s' },
      settings: { refreshes_per_second: 0 },
    })
    bench.say = () => ({ validForMs: 3_000 })
    await bench.ask()
    bench.cluster.set(0, 'away')
    await bench.clock.advance(2_000)
    expect(await bench.ask()).toMatchObject({ status: 0, tier: 'filter' })
    await bench.clock.advance(2_000)
    expect(await bench.ask()).toMatchObject({ status: 0, tier: 'stale' })
    expect(await bench.ask(B)).toMatchObject({ status: 503, tier: 'none' })
    expect(await bench.metric('intermix.answers.stale')).toBe(1)
    await bench.clock.advance(60_000)
    expect(await bench.ask()).toMatchObject({ status: 503, tier: 'none' })
    bench.cluster.set(0, 'up')
    await bench.clock.advance(2_000)
    expect(await bench.ask()).toMatchObject({ status: 0, tier: 'backend' })
  })

  it.each([
    { validUses: 4, outcome: { status: 503, tier: 'none' } },
    { validUses: 10_000, outcome: { status: 0, tier: 'stale' } },
  ])(
    'has what was kept beyond its uses where nobody meant to bound them ($validUses)',
    async ({ validUses, outcome }) => {
      const bench = await FilterBench.start({ module, settings: { refreshes_per_second: 0 } })
      bench.say = () => ({ validForMs: 60_000, validUses })
      await bench.ask()
      bench.cluster.set(0, 'away')
      let last = await bench.ask()
      for (let times = 0; last.tier === 'filter' && times < validUses; times++) last = await bench.ask()
      expect(last).toMatchObject(outcome)
    },
  )
})

describe('a filter that hears no node', () => {
  it.each(['away', 'refusing', 'silent'] as const)('gives nothing that is too old (%s)', async (state) => {
    const bench = await FilterBench.start({ module, settings: { refreshes_per_second: 0 } })
    await bench.ask()
    await bench.clock.advance(PARTITION_MAX_AGE_MS - 2_000)
    await bench.ask(B)
    bench.cluster.set(0, state)
    await bench.clock.advance(PARTITION_MAX_AGE_MS)
    // Too old already, but it may be that it hears of a revocation in time.
    expect((await bench.ask()).tier).toBe('filter')
    await bench.clock.advance(2_600)
    expect((await bench.ask()).tier).toBe('none')
    expect((await bench.ask(B)).tier).toBe('none')
    bench.cluster.set(0, 'up')
    await bench.clock.advance(3_000)
    expect((await bench.ask()).tier).toBe('filter')
  })

  it('tries again, and not too often', async () => {
    const bench = await FilterBench.start({ module, nodes: 2 })
    bench.cluster.set(0, 'refusing')
    bench.cluster.set(1, 'refusing')
    for (let i = 0; i < 300; i++) {
      expect((await bench.ask()).status).toBe(503)
      await bench.clock.advance(200)
    }
    const tries = bench.cluster.opened.reduce((sum, count) => sum + count, 0)
    expect(tries).toBeGreaterThan(30)
    expect(tries).toBeLessThan(300)
    bench.cluster.set(1, 'up')
    await bench.clock.advance(2_500)
    expect(await bench.ask()).toMatchObject({ status: 0, tier: 'backend' })
  })
})

describe('a stream', () => {
  it('that is lost is opened to another node, which is asked what waits', async () => {
    const bench = await FilterBench.start({ module, nodes: 2, settings: { timeout_ms: 1_000 } })
    const { promise, resolve } = Promise.withResolvers<object>()
    bench.say = () => promise
    const requests = [bench.request(), bench.request(B)]
    await bench.clock.advance(20)
    const of = bench.cluster.openStreams(0) > 0 ? 0 : 1
    bench.cluster.set(of, 'away')
    await bench.clock.advance(100)
    resolve({})
    await bench.clock.advance(100)
    expect(requests.map((request) => ended(request).status)).toEqual([0, 0])
    expect(bench.cluster.openStreams(1 - of)).toBe(1)
    expect(await bench.metric('intermix.streams_lost')).toBe(1)
  })

  it('over which nothing is heard for two seconds is left, whatever its connection says', async () => {
    const bench = await FilterBench.start({ module, nodes: 2, settings: { timeout_ms: 5_000 } })
    await bench.ask(B)
    const of = bench.cluster.openStreams(0) > 0 ? 0 : 1
    bench.cluster.set(of, 'silent')
    const request = bench.request()
    await bench.clock.advance(2_600)
    expect(bench.cluster.openStreams(of)).toBe(0)
    expect(bench.cluster.openStreams(1 - of)).toBe(1)
    expect(ended(request)).toMatchObject({ status: 0, tier: 'backend' })
  })

  it('whose node goes gives way to another one, and has its answers', async () => {
    const bench = await FilterBench.start({ module, nodes: 2 })
    const { promise, resolve } = Promise.withResolvers<object>()
    bench.say = () => promise
    const request = bench.request()
    await bench.clock.advance(20)
    const of = bench.cluster.openStreams(0) > 0 ? 0 : 1
    bench.nodes[of]?.door.retire?.()
    await bench.clock.advance(50)
    expect(bench.cluster.openStreams()).toBe(2)
    resolve({})
    await bench.clock.advance(50)
    expect(ended(request)).toMatchObject({ status: 0 })
    expect(bench.cluster.openStreams(of)).toBe(0)
    expect(bench.cluster.openStreams(1 - of)).toBe(1)
  })

  it('begins with the first request where nobody could be asked before', async () => {
    const bench = await FilterBench.start({ module })
    for (const state of ['away', 'refusing'] as const) {
      bench.cluster.set(0, state)
      await bench.clock.advance(3_000)
      expect((await bench.ask()).tier).toBe('none')
      bench.cluster.set(0, 'up')
      await bench.clock.advance(2_500)
      expect(await bench.ask([[':path', `/${state}`]])).toMatchObject({ status: 0, tier: 'backend' })
    }
  })

  it('is half-closed by a filter that goes, and opened by none that only shows that it would start', async () => {
    const bench = await FilterBench.start({ module })
    expect(bench.cluster.opened).toEqual([0])
    await bench.ask()
    expect(bench.cluster.openStreams()).toBe(1)
    bench.host.stop()
    await bench.clock.advance(20)
    expect(bench.cluster.openStreams()).toBe(0)
    expect(bench.host.metrics.value('intermix.entries')).toBe(0)
  })
})
