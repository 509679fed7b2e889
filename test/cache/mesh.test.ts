import { describe, expect, it, vi } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { connectRedis, type RedisLink } from '../../src/redis/connection.ts'
import { FakeClock } from '../helpers/clock.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { fixedRandom, KeptLog, ReadableMeter, realClock, untilUp } from '../redis/support.ts'
import { settled, untilFilled } from './real-redis.ts'
import { allow, Backend, createNode, deny, DOWN, handlerConfig, said } from './support.ts'

type Asking = ReturnType<typeof createNode>

// A loaded machine's Redis may be late; what a node does then has a test of its own.
const { link, redis } = await sharedRedis({ commandTimeoutMs: 15_000, role: 'cache', emptied: true })

const until = <T>(clock: FakeClock, promise: Promise<T>) => settled(link, clock, promise)
const filled = () => untilFilled(link)

describe('the mesh tier', () => {
  it('does not take a verdict that is too large to be fetched by every node, and counts it', async () => {
    const clock = new FakeClock()
    const [first, second] = [createNode({ clock, link }), createNode({ clock, link, nodeId: 'n2' })]
    const backend = new Backend(clock)
    backend.answer = deny(60_000, 'x'.repeat(300_000))
    expect(await said(await until(clock, Promise.resolve(first.ask(backend))))).toBe('backend deny')
    expect(first.meter.value('cache_refused_total', 'mesh', 'too_large')).toBe(1)
    // The lease is given back all the same, so that another node can ask for itself.
    expect(await said(await until(clock, Promise.resolve(second.ask(backend))))).toBe('backend deny')
    expect(await link.run((client) => client.keys('test:*:v'))).toEqual([])
  })

  it('asks the backend once for the same question at two nodes, and hands on the age', async () => {
    const clock = new FakeClock()
    const [one, two] = [createNode({ clock, link, nodeId: 'n1' }), createNode({ clock, link, nodeId: 'n2' })]
    const backend = new Backend(clock)
    expect(await until(clock, said(one.ask(backend)))).toBe('backend allow')
    await filled()
    await clock.advance(30_000)
    const second = await until(clock, Promise.resolve(two.ask(backend)))
    expect(await said(second)).toBe('mesh allow')
    const age = clock.monotonic() - (second.entry?.createdAt ?? 0)
    expect(age).toBeGreaterThanOrEqual(30_000)
    expect(age).toBeLessThan(30_100)
    expect(backend.calls).toBe(1)
    await clock.advance(29_000)
    expect(await said(two.ask(backend))).toBe('local allow')
    await clock.advance(2_000)
    expect(await until(clock, said(two.ask(backend)))).toBe('backend allow')
  })

  it('lets one node fetch while the others wait for it', async () => {
    const clock = new FakeClock()
    const nodes = Array.from({ length: 8 }, (_, i) => createNode({ clock, link, nodeId: `n${i}` }))
    const backend = new Backend(clock)
    backend.tookMs = 40
    const answers = await until(clock, Promise.all(nodes.map((node) => said(node.ask(backend)))))
    expect(answers.filter((answer) => answer === 'backend allow')).toHaveLength(1)
    expect(answers.filter((answer) => answer === 'mesh allow')).toHaveLength(7)
    expect(backend.calls).toBe(1)
  })

  it('fetches itself when the node with the lease never comes back', async () => {
    const clock = new FakeClock()
    const [dead, alive] = [createNode({ clock, link, nodeId: 'n1' }), createNode({ clock, link, nodeId: 'n2' })]
    const hanging = new Backend(clock)
    hanging.tookMs = 1_000_000
    void dead.ask(hanging)
    await expect.poll(() => link.run((client) => client.keys('test:*:l'))).not.toEqual([])
    const backend = new Backend(clock)
    expect(await until(clock, said(alive.ask(backend)))).toBe('backend allow')
  })

  it('serves a stale verdict of the mesh to a node that never asked the backend', async () => {
    const clock = new FakeClock()
    const [one, two] = [createNode({ clock, link, nodeId: 'n1' }), createNode({ clock, link, nodeId: 'n2' })]
    const backend = new Backend(clock)
    await until(clock, said(one.ask(backend)))
    await filled()
    backend.answer = DOWN
    await clock.advance(120_000)
    expect(await until(clock, said(two.ask(backend)))).toBe('stale allow')
    expect(backend.calls).toBe(2)
    // The backend is left alone for a moment: what the mesh gave must be at hand still.
    expect(await until(clock, said(two.ask(backend)))).toBe('stale allow')
    expect(backend.calls).toBe(2)
    await clock.advance(600_000)
    const [three] = [createNode({ clock, link, nodeId: 'n3' })]
    expect(await until(clock, said(three.ask(backend)))).toBe('unknown')
  })

  describe('while a backend hangs', () => {
    /** A verdict that one node stored two minutes ago, and a backend that has not answered since. */
    async function staleInMesh(tookMs = 1_000_000, bag = MapBag.of({})) {
      const clock = new FakeClock()
      const backend = new Backend(clock)
      await until(clock, said(createNode({ clock, link, nodeId: 'n1' }).ask(backend, 'x', bag)))
      await filled()
      await clock.advance(120_000)
      backend.tookMs = tookMs
      return { clock, backend, node: (nodeId: string) => createNode({ clock, link, nodeId }) }
    }

    it('gives a node without a copy of its own the stale one of the mesh, as soon as if it were its own', async () => {
      const { clock, backend, node } = await staleInMesh()
      const two = node('n2')
      const askedAt = clock.monotonic()
      expect(await until(clock, said(two.ask(backend)))).toBe('stale allow')
      expect(clock.monotonic() - askedAt).toBeLessThan(60)
      // The fetch goes on. Who comes later joins it, and waits no longer.
      const joinedAt = clock.monotonic()
      expect(await until(clock, said(two.ask(backend)))).toBe('stale allow')
      expect(clock.monotonic() - joinedAt).toBeLessThan(60)
      expect(backend.calls).toBe(2)
      // A third node waits for the second, which has the lease.
      const thirdAt = clock.monotonic()
      expect(await until(clock, said(node('n3').ask(backend)))).toBe('stale allow')
      expect(clock.monotonic() - thirdAt).toBeLessThan(60)
    })

    it('still prefers what the backend says within that time', async () => {
      const { clock, backend, node } = await staleInMesh(20)
      backend.answer = deny()
      expect(await until(clock, said(node('n2').ask(backend)))).toBe('backend deny')
    })

    it('makes nobody impatient who may not have the stale verdict', async () => {
      const eve = MapBag.of({ 'source.principal': 'eve' })
      const { clock, backend, node } = await staleInMesh(200, eve)
      const two = node('n2')
      const target = { kind: 'attribute', name: 'source.principal', key: undefined, value: 'eve' } as const
      const first = two.ask(backend, 'x', MapBag.of({}))
      // The fetch that Eve joins began after the revocation; what it found in the mesh is from before.
      two.revocations.apply({ sequence: 1, target })
      const second = two.ask(backend, 'x', eve)
      expect(await until(clock, Promise.all([said(first), said(second)]))).toEqual(['stale allow', 'backend allow'])
    })
  })

  it('serves the stale verdict of the mesh again and again, with a local tier and without', async () => {
    const clock = new FakeClock()
    const one = createNode({ clock, link, nodeId: 'n1' })
    const two = createNode({ clock, link, nodeId: 'n2' })
    const bare = createNode({ clock, link, nodeId: 'n3', local: false })
    const backend = new Backend(clock)
    await until(clock, said(one.ask(backend)))
    await filled()
    backend.answer = DOWN
    await clock.advance(120_000)
    for (const node of [two, two, bare, bare]) {
      expect(await until(clock, Promise.resolve(said(node.ask(backend))))).toBe('stale allow')
    }
  })

  it('does not take for fresh what ended while the reply of Redis was on its way', async () => {
    const clock = new FakeClock()
    let late = true
    const slow: RedisLink = Object.create(link, {
      run: {
        value: async (...args: Parameters<RedisLink['run']>) => {
          const reply = await link.run(...args)
          if (late) await new Promise<void>((resolve) => clock.after(2_000, resolve))
          late = false
          return reply
        },
      },
    })
    const one = createNode({ clock, link, nodeId: 'n1' })
    const two = createNode({ clock, link: slow, nodeId: 'n2' })
    const backend = new Backend(clock)
    await until(clock, said(one.ask(backend)))
    await filled()
    await clock.advance(58_000)
    expect(await until(clock, said(two.ask(backend, 'x', undefined, 10_000)))).toBe('backend allow')
  })

  it('shares a budget of uses exactly', async () => {
    const clock = new FakeClock()
    const nodes = Array.from({ length: 4 }, (_, i) => createNode({ clock, link, nodeId: `n${i}` }))
    const backend = new Backend(clock)
    backend.answer = allow(60_000, 20)
    let reused = 0
    for (let i = 0; backend.calls < 2; i++) {
      const before = backend.calls
      await until(clock, said(nodes[i % 4]?.ask(backend) ?? Promise.reject(new Error('no node'))))
      await filled()
      if (backend.calls === before) reused++
    }
    expect(reused).toBeLessThanOrEqual(20)
    expect(reused).toBeGreaterThan(8)
  })

  it('does not serve what was revoked, fresh or stale, whichever node stored it', async () => {
    const clock = new FakeClock()
    const [one, two] = [createNode({ clock, link, nodeId: 'n1' }), createNode({ clock, link, nodeId: 'n2' })]
    const backend = new Backend(clock)
    const eve = MapBag.of({ 'source.principal': 'eve' })
    await until(clock, said(one.ask(backend, 'eve', eve)))
    await filled()
    const target = { kind: 'attribute', name: 'source.principal', key: undefined, value: 'eve' } as const
    two.revocations.apply({ sequence: 1, target })
    backend.answer = DOWN
    expect(await until(clock, said(two.ask(backend, 'eve', eve)))).toBe('unknown')
  })

  it('replaces a revoked entry by a new verdict', async () => {
    const clock = new FakeClock()
    const [one, two] = [createNode({ clock, link, nodeId: 'n1' }), createNode({ clock, link, nodeId: 'n2' })]
    const backend = new Backend(clock)
    await until(clock, said(one.ask(backend)))
    await filled()
    for (const node of [one, two]) node.revocations.apply({ sequence: 1, target: { kind: 'all' } })
    backend.answer = deny()
    await clock.advance(5)
    expect(await until(clock, said(one.ask(backend)))).toBe('backend deny')
    expect(await until(clock, said(two.ask(backend)))).toMatch(/^(mesh|backend) deny$/)
    expect(backend.calls).toBeLessThanOrEqual(3)
  })

  it('keeps what forbids reuse out of Redis', async () => {
    const clock = new FakeClock()
    const one = createNode({ clock, link, nodeId: 'n1' })
    const backend = new Backend(clock, handlerConfig())
    backend.answer = allow(0)
    await until(clock, said(one.ask(backend)))
    backend.answer = deny(60_000)
    await until(clock, said(one.ask(backend, 'other')))
    await filled()
    expect(await link.run((client) => client.keys('test:*:v'))).toHaveLength(1)
  })

  it('answers from the backend while Redis is paused, each within the deadline for Redis', async () => {
    const impatient = connectRedis({
      access: { url: redis.url },
      role: 'cache',
      clock: realClock,
      random: fixedRandom,
      log: new KeptLog(),
      meter: new ReadableMeter(),
    })
    await untilUp(impatient)
    const [node, other] = ['n1', 'n2'].map((nodeId) =>
      createNode({ clock: realClock as never, link: impatient, nodeId }),
    ) as [Asking, Asking]
    const backend = new Backend(realClock as never)
    redis.pause()
    try {
      for (let i = 0; i < 20; i++) expect(await said(node.ask(backend, `key ${i}`))).toBe('backend allow')
    } finally {
      redis.resume()
    }
    let key = 0
    const shares = async () => {
      key += 1
      await node.ask(backend, `after ${key}`)
      expect(await said(other.ask(backend, `after ${key}`))).toBe('mesh allow')
    }
    await vi.waitFor(shares, { timeout: 60_000, interval: 20 })
    impatient.close()
  })
})
