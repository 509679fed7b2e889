// What a sidecar tells those before it, over real streams from a node to it and from it to them.

import { afterEach, describe, expect, it } from 'vitest'
import { CALLER_PATIENCE_MS, RevocationCallers } from '../../src/cache/revocation-callers.ts'
import { Revocations } from '../../src/cache/revocations.ts'
import { NodePool } from '../../src/client/nodes/node-pool.ts'
import { HeardRevocations } from '../../src/client/nodes/heard-revocations.ts'
import { ToldConfigs } from '../../src/client/nodes/told-configs.ts'
import { RetoldRevocations } from '../../src/client/nodes/retold-revocations.ts'
import { ComposedNews } from '../../src/compose/node-news.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { systemClock } from '../../src/kernel/system-clock.ts'
import type { PolicyState } from '../../src/policy/handler-table.ts'
import type { NodeNews } from '../../src/server/caller-news.ts'
import { RetoldNews } from '../../src/sidecar/retold-news.ts'
import type { NodeConfig } from '../../src/wire/batch/news.ts'
import { servedCalmly } from '../client/nodes/served-calmly.ts'
import { FakeClock } from '../helpers/clock.ts'
import { freePort } from '../helpers/ports.ts'
import { dependencies } from '../server/fixtures.ts'
import { createGrpcServer } from '../server/transport.ts'

const ALL = { kind: 'all' } as const
const HOST = '127.0.0.1'

describe('news of a sidecar', () => {
  const ends: (() => unknown)[] = []
  let started = 0
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  async function serve(news: NodeNews, port = 0) {
    const server = createGrpcServer(servedCalmly({ ...dependencies(), news } as ReturnType<typeof dependencies>))
    ends.push(() => server.drain(0))
    return { server, port: await server.listen({ host: HOST, port }) }
  }

  async function node() {
    const revocations = new Revocations()
    revocations.restart('token/1@1', 3)
    const callers = new RevocationCallers({ clock: systemClock, revocations })
    const news = new ComposedNews({
      revocations,
      callers,
      service: { outOfTouchMs: () => 0 },
      partitionMaxAgeMs: 30_000,
      normalizes: true,
      allowedAmbiguities: new Set(),
      state: () => ({ snapshot: { id: 'c1', vocabulary: new Map() } }) as unknown as PolicyState,
    })
    return { revocations, callers, ...(await serve(news)) }
  }

  const ask = (ports: readonly number[], more: Partial<ConstructorParameters<typeof NodePool>[0]> = {}) => {
    const caller = { caller: 'filter-1', connectTimeoutMs: 5_000 }
    const pool = new NodePool({ clock: systemClock, random: Math.random, ...caller, ...more })
    ends.push(() => pool[Symbol.dispose]())
    pool.setMembers(ports.map((port) => ({ id: `${HOST}:${port}`, address: { host: HOST, port } })))
    return pool
  }

  async function sidecar(nodePorts: readonly number[], port = 0) {
    const retold = new RetoldRevocations(systemClock, `sidecar-${started++}`)
    const refused: string[] = []
    const news: RetoldNews = new RetoldNews({ clock: systemClock, retold, nodes: () => pool })
    const pool = ask(nodePorts, {
      caller: 'sidecar',
      retelling: retold,
      onNews: () => news.changed(),
      onRefused: ({ message }) => refused.push(message),
    })
    return { retold, pool, refused, ...(await serve(news, port)) }
  }

  it('are what it has heard, and what is confirmed by who follows it', async () => {
    const one = await node()
    const beside = await sidecar([one.port])
    const filter = ask([beside.port])
    await expect.poll(() => filter.maxAgeMs()).toBe(Number.POSITIVE_INFINITY)
    expect(filter.config({ affinity: '', tenant: '' })?.id).toBe('c1')
    one.revocations.apply({ sequence: 4, target: ALL })
    await one.callers.settled()
    expect([one.callers.late(), one.callers.confirmed()]).toEqual([undefined, 4])
    expect(beside.retold.callers.behind()).toBeUndefined()
  })

  it('are none of revocations before it has heard a node: callers go on with what they have of the process before', async () => {
    const one = await node()
    const first = await sidecar([one.port])
    const filter = ask([first.port])
    await expect.poll(() => filter.maxAgeMs()).toBe(Number.POSITIVE_INFINITY)
    const kept = first.retold.revocations.epoch
    const allows = () => filter.revocations.allows(kept, [], MapBag.of({}))
    expect(allows()).toBe(true)
    await first.server.drain(0)
    await expect.poll(() => filter.isHeard).toBe(false)
    const port = await freePort()
    const second = await sidecar([port], first.port)
    await expect.poll(() => filter.isHeard).toBe(true)
    expect(allows()).toBe(true)
    second.pool.setMembers([one].map((each) => ({ id: 'one', address: { host: HOST, port: each.port } })))
    await expect.poll(allows).toBe(false)
    expect(filter.revocations.allows(second.retold.revocations.epoch, [], MapBag.of({}))).toBe(true)
  })

  it('wake nobody where nodes say nothing new, and what many confirm at one time is confirmed once', async () => {
    const clock = new FakeClock()
    const retold = new RetoldRevocations(clock, 'sidecar')
    const revocations = new HeardRevocations(clock, retold)
    // Each node tells it in its own words.
    const configs = new ToldConfigs()
    let told = 0
    const config: NodeConfig = { id: 'c1', vocabulary: new Map(), normalizes: true, allowedAmbiguities: new Set() }
    let confirmed = 0
    const news: RetoldNews = new RetoldNews({
      clock,
      retold,
      nodes: () => ({ revocations, config: () => configs.same, confirm: () => void confirmed++ }),
    })
    let woken = 0
    news.onChange(() => woken++)
    const teller = revocations.teller()
    const tell = (sequence: number) => {
      configs.set(`node-${told++}`, { ...config })
      const epoch = { generation: 'token/1@1', sequence }
      teller.take({ ask: 0, epoch, revocations: [], outOfTouchMs: 0, maxAgeMs: 30_000, load: 7 }, undefined)
      news.changed()
    }
    tell(3)
    tell(3)
    expect(woken).toBe(1)
    const callers = Array.from({ length: 100 }, (_, i) => news.join(`filter-${i}`))
    const confirmAll = () => {
      for (const caller of callers) caller.confirm(news.revocations.epoch)
    }
    confirmAll()
    tell(4)
    expect(woken).toBe(2)
    await clock.advance(CALLER_PATIENCE_MS)
    confirmed = 0
    // Each of them is one that was late no longer.
    confirmAll()
    await clock.advance(0)
    expect(confirmed).toBe(1)
  })

  it('are not followed by sidecars: neither itself, nor one that asks it', async () => {
    const one = await node()
    const ports = [await freePort(), await freePort(), await freePort()] as const
    const [alone, ...two] = await Promise.all([
      sidecar([one.port, ports[0]], ports[0]),
      sidecar([one.port, ports[2]], ports[1]),
      sidecar([one.port, ports[1]], ports[2]),
    ])
    const all = [alone, ...two]
    for (const { refused } of all) await expect.poll(() => refused[0]).toMatch(/no node but a sidecar/)
    await expect.poll(() => one.callers.confirmed()).toBe(3)
    one.revocations.apply({ sequence: 4, target: ALL })
    await one.callers.settled()
    expect([one.callers.late(), one.callers.confirmed()]).toEqual([undefined, 4])
    for (const { retold, pool } of all) {
      expect(retold.revocations.epoch.sequence).toBe(1)
      expect(pool.counts).toEqual({ known: 2, heard: 1 })
    }
  })
})
