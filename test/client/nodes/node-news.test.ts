// What nodes tell a pool beside answers, over real streams.

import { afterEach, describe, expect, it } from 'vitest'
import { RevocationCallers } from '../../../src/cache/revocation-callers.ts'
import { Revocations } from '../../../src/cache/revocations.ts'
import { NodePool } from '../../../src/client/nodes/node-pool.ts'
import { ComposedNews } from '../../../src/compose/node-news.ts'
import { MapBag } from '../../../src/kernel/attribute-bag.ts'
import type { NodeConfig } from '../../../src/wire/batch/news.ts'
import type { MeshMembers } from '../../../src/wire/batch/news.ts'
import type { PolicyState } from '../../../src/policy/handler-table.ts'
import { systemClock } from '../../../src/kernel/system-clock.ts'
import { dependencies } from '../../server/fixtures.ts'
import { createGrpcServer } from '../../server/transport.ts'
import { servedCalmly } from './served-calmly.ts'

const BAG = MapBag.of({ 'source.principal': 'eve' })
const TO_ANY = { affinity: 'k', tenant: 't' }
const GENERATION = 'token/1@1'

describe('news of nodes', () => {
  const ends: (() => unknown)[] = []

  async function serve(revocations = new Revocations()) {
    const given = dependencies()
    let state: PolicyState | undefined
    let members: MeshMembers | undefined
    let outOfTouchMs = 0
    const callers = new RevocationCallers({ clock: systemClock, revocations })
    const news = new ComposedNews({
      revocations,
      callers,
      service: { outOfTouchMs: () => outOfTouchMs },
      partitionMaxAgeMs: 30_000,
      normalizes: true,
      allowedAmbiguities: new Set(['backslash']),
      state: () => state,
    })
    const listeners: (() => void)[] = []
    news.tellMembers({ members: () => members, onChange: (listener) => void listeners.push(listener) })
    const use = (id: string) => {
      state = { snapshot: { id, vocabulary: given.check.vocabulary() } } as unknown as PolicyState
      news.changed()
    }
    use('c1')
    const server = createGrpcServer(servedCalmly({ ...given, news } as ReturnType<typeof dependencies>))
    const port = await server.listen({ host: '127.0.0.1', port: 0 })
    ends.push(() => server.drain(0))
    return {
      given,
      server,
      revocations,
      callers,
      use,
      id: `127.0.0.1:${port}`,
      address: { host: '127.0.0.1', port },
      lag(ms: number) {
        outOfTouchMs = ms
      },
      tell(told: MeshMembers) {
        members = told
        for (const listener of listeners) listener()
      },
    }
  }

  function pooled(
    nodes: readonly Awaited<ReturnType<typeof serve>>[],
    onMembers: (members: MeshMembers) => void = () => undefined,
  ) {
    const options = { clock: systemClock, random: Math.random, connectTimeoutMs: 5_000 }
    const pool = new NodePool({ ...options, caller: 'sidecar-1', onMembers })
    ends.push(() => pool[Symbol.dispose]())
    pool.setMembers(nodes)
    return pool
  }

  const known = (pool: NodePool): NodeConfig | undefined => pool.config(TO_ANY)

  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  it('bring the config although nothing was asked, and again as soon as it changes', async () => {
    const [one, two] = [await serve(), await serve()]
    const pool = pooled([one, two])
    expect(known(pool)).toBeUndefined()
    expect(pool.maxAgeMs()).toBe(30_000)
    await expect.poll(() => known(pool)?.id).toBe('c1')
    expect(known(pool)).toEqual({
      id: 'c1',
      vocabulary: one.given.check.vocabulary(),
      normalizes: true,
      allowedAmbiguities: new Set(['backslash']),
    })
    await expect.poll(() => pool.maxAgeMs()).toBe(Number.POSITIVE_INFINITY)
    expect(pool.isHeard).toBe(true)
    await expect.poll(() => pool.counts).toEqual({ known: 2, heard: 2 })
    const seen = { isLeaving: false, isHeard: true, config: 'c1', restsForMs: 0, waiting: 0 }
    expect(pool.view()).toMatchObject([seen, seen])
    one.use('c2')
    two.use('c2')
    await expect.poll(() => known(pool)?.id).toBe('c2')
  })

  it('tell by which config each node answers while they differ', async () => {
    const [one, two] = [await serve(), await serve()]
    const pool = pooled([one, two])
    await expect.poll(() => pool.config(TO_ANY)?.id).toBe('c1')
    one.use('c2')
    const ids = () => new Set(Array.from({ length: 40 }, (_, i) => pool.config({ affinity: `${i}`, tenant: '' })?.id))
    await expect.poll(ids).toEqual(new Set(['c1', 'c2']))
    two.use('c2')
    await expect.poll(ids).toEqual(new Set(['c2']))
  })

  it('keep the config when all nodes are gone', async () => {
    const one = await serve()
    const pool = pooled([one])
    await expect.poll(() => pool.maxAgeMs()).toBe(Number.POSITIVE_INFINITY)
    await one.server.drain(0)
    await expect.poll(() => pool.isHeard).toBe(false)
    expect(known(pool)?.id).toBe('c1')
  })

  it('void what is revoked, and are confirmed', async () => {
    const revocations = new Revocations()
    revocations.restart(GENERATION, 3)
    const one = await serve(revocations)
    const pool = pooled([one])
    const epoch = { generation: GENERATION, sequence: 3 }
    const allows = (handler: string) => pool.revocations.allows(epoch, [handler], BAG)
    expect(allows('h')).toBe(false)
    await expect.poll(() => allows('h')).toBe(true)
    revocations.apply({ sequence: 4, target: { kind: 'handler', handler: 'h' } })
    expect(one.callers.confirmed()).toBe(3)
    await expect.poll(() => one.callers.confirmed()).toBe(4)
    expect([allows('h'), allows('other')]).toEqual([false, true])
    revocations.apply({
      sequence: 5,
      target: { kind: 'attribute', name: 'source.principal', key: undefined, value: 'eve' },
    })
    await one.callers.settled()
    expect(allows('other')).toBe(false)
    expect(pool.revocations.allows(epoch, ['other'], MapBag.of({ 'source.principal': 'ann' }))).toBe(true)
  })

  it('say that the caller is out of touch where the node is', async () => {
    const one = await serve()
    one.lag(32_000)
    const pool = pooled([one])
    await expect.poll(() => known(pool)?.id).toBe('c1')
    expect(pool.maxAgeMs()).toBe(30_000)
    one.lag(0)
    await expect.poll(() => pool.maxAgeMs()).toBe(Number.POSITIVE_INFINITY)
  })

  it('tell who is there', async () => {
    const one = await serve()
    const told: MeshMembers[] = []
    pooled([one], (members) => told.push(members))
    one.tell({ nodes: [one.id, '10.0.0.1:9091'], leaving: [] })
    await expect.poll(() => told).toEqual([{ nodes: [one.id, '10.0.0.1:9091'], leaving: [] }])
  })
})
