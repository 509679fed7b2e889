// How often a verdict is given: each call of the backend has a name of its own, which its verdict carries, and no name may
// be seen more often than the backend granted, on whatever way it came: out of both caches of each node, from Redis,
// stale, in a refresh, to checks that wait for one fetch, or to clients that keep answers.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import type { CheckOutcome } from '../../src/kernel/services.ts'
import { settled } from '../cache/real-redis.ts'
import { Backends, compileGood, listEntry, object, scripted } from './mixer-defects/node.ts'
import { FakeClock } from '../helpers/clock.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { createSimulatedNode, type SimulatedNode } from './simulated-node.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 15_000, role: 'cache', emptied: true })

const VALID_MS = 5_000

interface MeshOptions {
  readonly nodes: number
  readonly uses: number
  readonly shared: boolean
  /** Whether nodes keep whole answers, and verdicts. */
  readonly answers?: boolean
  readonly local?: boolean
}

class Mesh {
  readonly clock = new FakeClock()
  readonly backends = new Backends()
  readonly #options: MeshOptions
  readonly #nodes: SimulatedNode[] = []
  /** By the name of a call: how often its verdict was given, by nodes and by their clients. */
  readonly given = new Map<string, number>()
  latencyMs = 0
  #sequence = 0

  private constructor(options: MeshOptions) {
    this.#options = options
    this.backends.checks.set('h', async () => {
      const name = `call-${this.backends.calls}`
      if (this.latencyMs > 0) await new Promise<void>((resolve) => this.clock.after(this.latencyMs, resolve))
      return { status: { code: 7, message: name }, validForMs: VALID_MS, validUses: options.uses }
    })
  }

  static async start(options: MeshOptions): Promise<Mesh> {
    const mesh = new Mesh(options)
    for (let i = 0; i < options.nodes; i++) await mesh.restart(i)
    return mesh
  }

  async restart(index: number): Promise<void> {
    await this.#nodes[index]?.stop()
    const notes = 'policy.intermix.dev/staleIfError: 60s, policy.intermix.dev/staleWhileRevalidate: 1s'
    const rule = object('rule', 'r', '{actions: [{handler: h, instances: [i]}]}')
    const snapshot = compileGood(this.backends, [scripted('h', notes), listEntry('i', 'a'), rule])
    const { shared, answers = true, local = true } = this.#options
    const common = { clock: this.clock, random: () => 0.5, link: shared ? link : undefined, answers, local }
    const node = await createSimulatedNode({ ...common, prefix: 'test', nodeId: `n${index}` }, snapshot)
    for (let sequence = 1; sequence <= this.#sequence; sequence++) {
      node.revocations.apply({ sequence, target: { kind: 'all' } })
    }
    this.#nodes[index] = node
  }

  async stop(): Promise<void> {
    for (const node of this.#nodes) await node.stop()
  }

  revoke(): void {
    const sequence = ++this.#sequence
    for (const node of this.#nodes) node.revocations.apply({ sequence, target: { kind: 'all' } })
  }

  setDown(isDown: boolean): void {
    const { checks } = this.backends
    const script = checks.get('h') ?? checks.get('away')
    checks.clear()
    if (script !== undefined) checks.set(isDown ? 'away' : 'h', script)
  }

  /** So many checks at once. */
  async ask(index: number, options: { readonly value?: string; readonly keeps?: boolean; readonly count?: number }) {
    const { value = 'x', keeps = false, count = 1 } = options
    const node = this.#nodes[index % this.#nodes.length] as SimulatedNode
    const bag = MapBag.of({ a: value })
    const asked = Array.from({ length: count }, async () => {
      this.#count(await node.engine.check(bag, { timeoutMs: 5_000, keepsAnswer: keeps }), keeps)
    })
    await settled(link, this.clock, Promise.all(asked))
  }

  #count({ answer }: CheckOutcome, keeps: boolean): void {
    const [name] = /call-\d+/.exec(answer.status.message) ?? []
    if (name === undefined) return
    this.given.set(name, (this.given.get(name) ?? 0) + 1 + (keeps ? answer.validUses : 0))
  }

  /** The verdict that was given most often. */
  get most(): number {
    return Math.max(0, ...this.given.values())
  }
}

const action = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('ask' as const),
      node: fc.nat(2),
      value: fc.constantFrom('x', 'y'),
      keeps: fc.boolean(),
      count: fc.constantFrom(1, 1, 1, 4, 12),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(1, 300, 4_700, 5_200) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('down' as const), isDown: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('slow' as const), ms: fc.constantFrom(0, 7, 40) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), node: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('revoke' as const) }) },
)

type Action = typeof action extends fc.Arbitrary<infer T> ? T : never

async function perform(mesh: Mesh, step: Action): Promise<void> {
  if (step.kind === 'ask') await mesh.ask(step.node, step)
  else if (step.kind === 'pass') await mesh.clock.advance(step.ms)
  else if (step.kind === 'down') mesh.setDown(step.isDown)
  else if (step.kind === 'slow') mesh.latencyMs = step.ms
  else if (step.kind === 'restart') await mesh.restart(step.node)
  else mesh.revoke()
}

describe('a verdict with n uses', () => {
  it.each([
    ['over two nodes that share Redis', { nodes: 2, shared: true }],
    ['over nodes that keep no whole answers', { nodes: 2, shared: true, answers: false }],
    ['over nodes that keep nothing', { nodes: 2, shared: true, answers: false, local: false }],
    ['at a node of its own', { nodes: 1, shared: false }],
  ])('is given 1 + n times at most, %s', async (_, options) => {
    const property = fc.asyncProperty(
      fc.constantFrom(0, 1, 2, 3, 9, 20, 100),
      fc.array(action, { minLength: 5, maxLength: 40 }),
      async (uses, steps) => {
        await link.run((client) => client.flushdb())
        const mesh = await Mesh.start({ ...options, uses })
        try {
          for (const step of steps) {
            await perform(mesh, step)
            expect(mesh.most).toBeLessThanOrEqual(1 + uses)
          }
        } finally {
          await mesh.stop()
        }
      },
    )
    await fc.assert(property, { numRuns: 60 })
  })

  it.each([
    ['at one node', 1, false, 4],
    ['at one node with Redis', 1, true, 4],
    ['at two nodes in turn', 2, true, 4],
  ])('is worth a call for every 1 + n checks, %s', async (_, nodes, shared, calls) => {
    const mesh = await Mesh.start({ nodes, shared, uses: 2 })
    for (let i = 0; i < 12; i++) await mesh.ask(i, {})
    expect(mesh.backends.calls).toBe(calls)
    await mesh.stop()
  })

  it('is worth a call for every 1 + n of the checks that come at once', async () => {
    const mesh = await Mesh.start({ nodes: 1, shared: true, uses: 2 })
    mesh.latencyMs = 10
    await mesh.ask(0, { count: 12 })
    expect(mesh.backends.calls).toBe(4)
    await mesh.stop()
  })

  it('serves on while the backend is away until its uses are spent, and no longer', async () => {
    const mesh = await Mesh.start({ nodes: 1, shared: false, uses: 3 })
    await mesh.ask(0, {})
    await mesh.clock.advance(6_500)
    mesh.setDown(true)
    for (let i = 0; i < 6; i++) await mesh.ask(0, {})
    expect([...mesh.given.values()]).toEqual([4])
    await mesh.stop()
  })

  it('serves on at a node that has none of it, with uses that the mesh has left', async () => {
    const mesh = await Mesh.start({ nodes: 2, shared: true, uses: 16 })
    await mesh.ask(0, {})
    await mesh.clock.advance(6_500)
    mesh.setDown(true)
    for (let i = 0; i < 40; i++) {
      await mesh.ask(1, {})
      await mesh.clock.advance(500)
    }
    expect(mesh.most).toBeGreaterThan(10)
    expect(mesh.most).toBeLessThanOrEqual(17)
    await mesh.stop()
  })

  it('whose uses nobody bounds serves on while the backend is away', async () => {
    const mesh = await Mesh.start({ nodes: 1, shared: false, uses: 10_000 })
    await mesh.ask(0, { count: 10_001 })
    expect(mesh.backends.calls).toBe(1)
    mesh.setDown(true)
    for (let i = 0; i < 6; i++) await mesh.ask(0, {})
    expect([...mesh.given.values()]).toEqual([10_007])
    await mesh.stop()
  })

  it('is shared out to clients that keep answers', async () => {
    const mesh = await Mesh.start({ nodes: 2, shared: true, uses: 1_000 })
    let checks = 0
    for (; mesh.backends.calls < 2; checks++) await mesh.ask(checks, { keeps: true })
    // Clients give it most of the time, and hardly any use is lost between the two nodes.
    expect(checks).toBeLessThan(500)
    expect(mesh.given.get('call-1')).toBeGreaterThan(900)
    expect(mesh.given.get('call-1')).toBeLessThanOrEqual(1_001)
    await mesh.stop()
  })
})
