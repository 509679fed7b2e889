import { describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { FakeClock } from '../helpers/clock.ts'
import { allow, Backend, createNode, deny, DOWN, handlerConfig, said } from './support.ts'

describe('the verdict cache in one node', () => {
  it('asks the backend once per validity, at once from then on, with the age from when the backend spoke', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock)
    const first = await node.ask(backend)
    expect(first.entry?.createdAt).toBe(clock.monotonic())
    await clock.advance(30_000)
    const second = node.ask(backend)
    expect(second).not.toBeInstanceOf(Promise)
    expect(await said(second)).toBe('local allow')
    expect((await second).entry?.createdAt).toBe(clock.monotonic() - 30_000)
    await clock.advance(30_001)
    expect(await said(node.ask(backend))).toBe('backend allow')
    expect(backend.calls).toBe(2)
  })

  it('keeps verdicts of different instances and of different handler configs apart', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock)
    await node.ask(backend, 'x')
    backend.answer = deny()
    expect(await said(node.ask(backend, 'y'))).toBe('backend deny')
    const changed = new Backend(clock, handlerConfig({ digest: 'digest-2' }))
    changed.answer = deny()
    expect(await said(node.ask(changed, 'x'))).toBe('backend deny')
    expect(await said(node.ask(backend, 'x'))).toBe('local allow')
  })

  it('makes one call for many checks at once, and gives each its own deadline', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock)
    backend.tookMs = 300
    const patient = Array.from({ length: 50 }, () => said(node.ask(backend)))
    const hasty = said(node.ask(backend, 'x', MapBag.of({}), 100))
    await clock.advance(100)
    expect(await hasty).toBe('unknown')
    await clock.advance(200)
    expect(new Set(await Promise.all(patient))).toEqual(new Set(['backend allow']))
    expect(backend.calls).toBe(1)
    expect(await said(node.ask(backend))).toBe('local allow')
  })

  it('serves stale within its bound while the backend fails, and not beyond', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock, handlerConfig({ staleIfErrorMs: 10_000 }))
    await node.ask(backend)
    backend.answer = DOWN
    await clock.advance(60_000)
    expect(await said(node.ask(backend))).toBe('stale allow')
    await clock.advance(8_000)
    expect(await said(node.ask(backend))).toBe('stale allow')
    await clock.advance(3_000)
    expect(await said(node.ask(backend))).toBe('unknown')
  })

  it.each(['unasked', 'unheard'] as const)('asks again at once for a key that was %s', async (backendSign) => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock)
    backend.answer = new IntermixError('BACKEND_FAILED', 'not the fault of the key', { backend: backendSign })
    expect(await said(node.ask(backend))).toBe('unknown')
    backend.answer = allow()
    expect(await said(node.ask(backend))).toBe('backend allow')
    expect(backend.calls).toBe(2)
  })

  it('probes a dead backend instead of storming it, and takes its first answer', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock)
    await node.ask(backend)
    await clock.advance(60_000)
    backend.answer = DOWN
    const before = backend.calls
    for (let i = 0; i < 300; i++) {
      await node.ask(backend)
      await clock.advance(100)
    }
    expect(backend.calls - before).toBeLessThanOrEqual(8)
    backend.answer = deny()
    await clock.advance(30_000)
    expect(await said(node.ask(backend))).toBe('backend deny')
  })

  it('waits for a slow backend only a moment when it has a stale verdict', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock)
    await node.ask(backend)
    await clock.advance(60_000)
    backend.tookMs = 400
    const asked = said(node.ask(backend))
    await clock.advance(40)
    expect(await asked).toBe('stale allow')
    await clock.advance(400)
    expect(await said(node.ask(backend))).toBe('local allow')
  })

  it('is as patient with the backend as ever when the verdict it has cannot be served any more', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock, handlerConfig({ staleIfErrorMs: 0 }))
    await node.ask(backend)
    await clock.advance(60_000)
    backend.tookMs = 200
    const asked = said(node.ask(backend))
    await clock.advance(200)
    expect(await asked).toBe('backend allow')
  })

  it.each([
    ['is revoked', 10, 600_000],
    ['ends', 0, 20],
  ])('waits on for the backend when the stale verdict that it has %s meanwhile', async (_name, sequence, stale) => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock, handlerConfig({ staleIfErrorMs: stale }))
    await node.ask(backend)
    await clock.advance(60_000 * 0.99 + 5)
    backend.tookMs = 100
    const asked = said(node.ask(backend))
    await clock.advance(20)
    if (sequence > 0) node.revocations.apply({ sequence, target: { kind: 'all' } })
    backend.answer = deny()
    await clock.advance(300)
    expect(await asked).toMatch(/^backend/)
  })

  it('does not reuse what forbids reuse, and spends uses', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock)
    backend.answer = allow(0)
    await node.ask(backend, 'never')
    await node.ask(backend, 'never')
    expect(backend.calls).toBe(2)
    backend.answer = allow(60_000, 2)
    for (let i = 0; i < 4; i++) await node.ask(backend, 'twice')
    expect(backend.calls).toBe(4)
  })

  it('bounds denials by their own validity', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock, handlerConfig({ maxDenyValidForMs: 5_000 }))
    backend.answer = deny(60_000)
    await node.ask(backend)
    backend.answer = allow()
    await clock.advance(4_000)
    expect(await said(node.ask(backend))).toBe('local deny')
    await clock.advance(1_000)
    expect(await said(node.ask(backend))).toBe('backend allow')
  })

  it('serves stale while it revalidates where the handler allows it', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock, handlerConfig({ staleWhileRevalidateMs: 5_000 }))
    await node.ask(backend)
    backend.answer = deny()
    await clock.advance(60_000)
    expect(await said(node.ask(backend))).toBe('stale allow')
    await clock.advance(0)
    expect(await said(node.ask(backend))).toBe('local deny')
  })

  it('refreshes wanted verdicts ahead and lets unwanted ones go', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock, refreshesPerSecond: 10 })
    const backend = new Backend(clock, handlerConfig({ staleIfErrorMs: 0 }))
    await node.ask(backend, 'hot')
    await node.ask(backend, 'cold')
    await clock.advance(30_000)
    await node.ask(backend, 'hot')
    await clock.advance(30_100)
    expect(await said(node.ask(backend, 'hot'))).toBe('local allow')
    expect(backend.calls).toBe(3)
    expect(await said(node.ask(backend, 'cold'))).toBe('backend allow')
    node.cache.stop()
  })

  it('refreshes nothing ahead while the backend is unwell', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock, refreshesPerSecond: 10 })
    const backend = new Backend(clock)
    await node.ask(backend)
    await node.ask(backend)
    backend.isHealthy = false
    await clock.advance(59_000)
    expect(backend.calls).toBe(1)
    node.cache.stop()
  })

  it.each([-3_600_000, -38_000, 38_000, 3_600_000])(
    'keeps ages right when the wall clock is set by %i ms',
    async (step) => {
      const clock = new FakeClock()
      const node = createNode({ clock, refreshesPerSecond: 10 })
      const backend = new Backend(clock, handlerConfig({ staleIfErrorMs: 30_000 }))
      await node.ask(backend)
      await clock.advance(20_000)
      clock.stepWall(step)
      expect(await said(node.ask(backend))).toBe('local allow')
      backend.answer = DOWN
      await clock.advance(38_000)
      expect(await said(node.ask(backend))).toBe('local allow')
      await clock.advance(2_000)
      expect(await said(node.ask(backend))).toBe('stale allow')
      await clock.advance(30_000)
      expect(await said(node.ask(backend))).toBe('unknown')
      backend.answer = deny()
      await clock.advance(30_000)
      expect(await said(node.ask(backend))).toBe('backend deny')
      node.cache.stop()
    },
  )

  it('computes what costs no call each time, and keeps none of it', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock, handlerConfig({}, false))
    await node.ask(backend)
    await node.ask(backend)
    expect(backend.calls).toBe(2)
  })
})

describe('revocation in one node', () => {
  it('voids fresh and stale verdicts of a handler, of an attribute value, and all', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock)
    const bob = MapBag.of({ 'source.principal': 'bob' })
    const eve = MapBag.of({ 'source.principal': 'eve' })
    await node.ask(backend, 'bob', bob)
    await node.ask(backend, 'eve', eve)
    backend.answer = DOWN
    node.revocations.apply({
      sequence: 1,
      target: { kind: 'attribute', name: 'source.principal', key: undefined, value: 'eve' },
    })
    expect(await said(node.ask(backend, 'bob', bob))).toBe('local allow')
    expect(await said(node.ask(backend, 'eve', eve))).toBe('unknown')
    await clock.advance(60_000)
    expect(await said(node.ask(backend, 'bob', bob))).toBe('stale allow')
    node.revocations.apply({ sequence: 2, target: { kind: 'handler', handler: 'another.handler.test' } })
    expect(await said(node.ask(backend, 'bob', bob))).toBe('stale allow')
    node.revocations.apply({ sequence: 3, target: { kind: 'handler', handler: backend.handler.name } })
    expect(await said(node.ask(backend, 'bob', bob))).toBe('unknown')
  })

  it('voids a fetch that is under way: what it brings is not served to anyone who asks afterwards', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock)
    backend.tookMs = 100
    const before = said(node.ask(backend))
    await clock.advance(50)
    node.revocations.apply({ sequence: 1, target: { kind: 'all' } })
    backend.answer = deny()
    const after = said(node.ask(backend))
    await clock.advance(200)
    expect(await after).toBe('backend deny')
    expect(await before).toBe('backend deny')
    expect(await said(node.ask(backend))).toBe('local deny')
  })

  it('voids everything when the sequence starts anew', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock)
    await node.ask(backend)
    node.revocations.restart('another', 0)
    backend.answer = deny()
    expect(await said(node.ask(backend))).toBe('backend deny')
  })

  it('does not leave a check without a verdict when the sequence starts anew again and again while it is fetched', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock)
    backend.tookMs = 40
    const asked = said(node.ask(backend))
    for (const generation of ['first', 'second']) {
      await clock.advance(20)
      node.revocations.restart(generation, 0)
      await clock.advance(20)
    }
    await clock.advance(100)
    expect(await asked).toBe('backend allow')
    expect(backend.calls).toBe(3)
  })

  it('gives up on a verdict that is revoked each time it was fetched', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock)
    backend.tookMs = 40
    const asked = said(node.ask(backend))
    for (let generation = 0; generation < 8; generation++) {
      await clock.advance(20)
      node.revocations.restart(String(generation), 0)
      await clock.advance(20)
    }
    expect(await asked).toBe('unknown')
    expect(backend.calls).toBe(4)
  })

  it('bounds the age of what is served while out of touch', async () => {
    const clock = new FakeClock()
    let bound = Number.POSITIVE_INFINITY
    const node = createNode({ clock, maxAgeMs: () => bound })
    const backend = new Backend(clock)
    await node.ask(backend)
    await clock.advance(6_000)
    bound = 5_000
    backend.answer = DOWN
    expect(await said(node.ask(backend))).toBe('unknown')
    bound = 10_000
    expect(await said(node.ask(backend))).toBe('local allow')
  })
})

describe('M(W)', () => {
  it('is the share of requests that a dead backend would have left without a verdict', async () => {
    const clock = new FakeClock()
    const node = createNode({ clock })
    const backend = new Backend(clock)
    await node.ask(backend, 'a')
    for (let i = 0; i < 8; i++) await node.ask(backend, 'a')
    await node.ask(backend, 'b')
    const reading = node.protection.read().get(backend.handler.name)
    expect(reading).toMatchObject({ requests: 10, unprotected: 0.2 })
    expect(reading?.predictedNines).toBeCloseTo(3.7, 1)
  })
})
