// What the filter gives no longer once it is revoked, and what it says of that.
import { beforeAll, describe, expect, it } from 'vitest'
import type { RevocationTarget } from '../../src/kernel/revocation.ts'
import type { CheckedModule } from '../helpers/proxy-wasm/vm.ts'
import { ASK, compiledFilter, FilterBench } from './filter-bench.ts'

let module: CheckedModule
beforeAll(async () => {
  module = await compiledFilter()
})

const DENY = { status: { code: 7, message: 'no' } }
const ofPrincipal = (value: string): RevocationTarget => ({
  kind: 'attribute',
  name: 'source.principal',
  key: undefined,
  value,
})

/** A filter that keeps what it was told of three callers, all of whom are denied by now. */
async function kept(options: Partial<Parameters<typeof FilterBench.start>[0]> = {}) {
  const bench = await FilterBench.start({ module, value: 'source.principal', ...options })
  const tierOf = async (peer: string, header = 'a') => (await bench.ask([['x-a', header]], { peer })).tier
  for (const peer of ['eve', 'bob', 'amy']) await tierOf(peer)
  for (const peer of ['eve', 'bob', 'amy']) expect(await tierOf(peer)).toBe('filter')
  bench.say = () => DENY
  return { bench, tierOf }
}

describe('a revocation', () => {
  it('of everything voids all, at once', async () => {
    const { bench, tierOf } = await kept()
    await bench.revoke({ kind: 'all' })
    for (const peer of ['eve', 'bob', 'amy']) expect(await tierOf(peer)).toBe('backend')
  })

  it('of an attribute voids what requests with that value were told, and nothing else', async () => {
    const { bench, tierOf } = await kept()
    await bench.revoke(ofPrincipal('eve'))
    expect(await tierOf('eve')).toBe('backend')
    expect(await tierOf('bob')).toBe('filter')
    await bench.revoke({ kind: 'attribute', name: 'request.headers', key: 'x-a', value: 'b' })
    expect(await tierOf('bob', 'b')).toBe('backend')
    expect(await tierOf('amy')).toBe('filter')
  })

  it('of an attribute that the filter does not read voids all', async () => {
    const { bench, tierOf } = await kept()
    await bench.revoke({ kind: 'attribute', name: 'request.time', key: undefined, value: '2026-01-01T00:00:00Z' })
    expect(await tierOf('eve')).not.toBe('filter')
  })

  it('of an address voids what it is another spelling of', async () => {
    const bench = await FilterBench.start({ module, value: 'source.principal' })
    const tierOf = async (source: string) => (await bench.ask([], { source, peer: 'eve' })).tier
    await tierOf('[2001:db8::1]:5')
    expect(await tierOf('[2001:db8::1]:5')).toBe('filter')
    await bench.revoke({ kind: 'attribute', name: 'source.ip', key: undefined, value: '2001:db8:0:0:0:0:0:1' })
    expect(await tierOf('[2001:db8::1]:5')).not.toBe('filter')
  })

  it('of a handler voids what it may have had a part in', async () => {
    const bench = await FilterBench.start({ module, rules: { all: { ...ASK, namespace: 'b' } } })
    const tierOf = async (namespace: string) => (await bench.ask([], { local: `spiffe://c/ns/${namespace}/sa/x` })).tier
    for (const tier of ['backend', 'filter']) expect(await tierOf('b')).toBe(tier)
    await tierOf('a')
    await bench.revoke({ kind: 'handler', handler: 'says.handler.istio-system' })
    expect(await tierOf('b')).toBe('backend')
    expect(await tierOf('a')).toBe('filter')
  })

  it('that is numbered anew voids all', async () => {
    const { bench, tierOf } = await kept()
    await bench.beginAnew()
    await bench.clock.advance(20)
    for (const peer of ['eve', 'bob', 'amy']) expect(await tierOf(peer)).not.toBe('filter')
  })

  it('is confirmed at once, so that it is acknowledged', async () => {
    const { bench } = await kept()
    const [node] = bench.nodes
    await bench.revoke(ofPrincipal('eve'))
    await bench.clock.advance(20)
    expect(node?.callers.hasBeen).toBe(true)
    expect(node?.callers.confirmed()).toBe(1)
    await bench.clock.advance(5_000)
    expect(node?.callers.late()).toBeUndefined()
  })

  it('names a filter that does not confirm it', async () => {
    const { bench } = await kept({ settings: { name: 'edge' } })
    const [node] = bench.nodes
    bench.cluster.set(0, 'silent')
    await bench.revoke({ kind: 'all' })
    await bench.clock.advance(1_600)
    expect(node?.callers.late()).toMatchObject({ count: 1, names: [expect.stringMatching(/^edge-/)] })
    // Whoever asks no more is out of touch.
    await bench.clock.advance(2_000)
    expect(node?.callers.late()).toBeUndefined()
  })
})
