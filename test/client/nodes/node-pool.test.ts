// Several real nodes behind one pool.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NodePool } from '../../../src/client/nodes/node-pool.ts'
import type { NodeQuestion } from '../../../src/client/nodes/nodes.ts'
import { MapBag } from '../../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../../src/kernel/errors.ts'
import { systemClock } from '../../../src/kernel/system-clock.ts'
import type { GrpcServer } from '../../../src/server/grpc-server.ts'
import { dependencies } from '../../server/fixtures.ts'
import { createGrpcServer } from '../../server/transport.ts'
import { servedCalmly } from './served-calmly.ts'

interface ServedNode {
  readonly id: string
  readonly given: ReturnType<typeof dependencies>
  readonly server: GrpcServer
  readonly port: number
}

const ABOUT = { bag: MapBag.of({ 'request.path': '/' }), timeoutMs: 10_000, affinity: 'k', tenant: 't' }

describe('a pool of nodes', () => {
  let nodes: ServedNode[]
  let pool: NodePool

  async function serve(name: string): Promise<ServedNode> {
    const given = dependencies()
    // Each says who it is.
    given.check.answer({ requestHeaders: [{ name: 'node', value: name, operation: 'REPLACE' }] })
    const server = createGrpcServer(servedCalmly(given))
    const port = await server.listen({ host: '127.0.0.1', port: 0 })
    return { id: name, given, server, port }
  }

  const membersOf = (of: readonly ServedNode[]) =>
    of.map(({ id, port }) => ({ id, address: { host: '127.0.0.1', port } }))

  async function ask(affinity: string, timeoutMs = 10_000): Promise<string | undefined> {
    const { answer } = await pool.ask({ ...ABOUT, timeoutMs, affinity })
    return answer.requestHeaders[0]?.value
  }

  const named = (id: string | undefined) => nodes.find((node) => node.id === id) as ServedNode

  beforeEach(async () => {
    nodes = await Promise.all(['a', 'b', 'c'].map(serve))
    pool = new NodePool({ clock: systemClock, random: Math.random, connectTimeoutMs: 5_000, leavingMs: 200 })
    pool.setMembers(membersOf(nodes))
  })

  afterEach(async () => {
    pool[Symbol.dispose]()
    await Promise.all(nodes.map(({ server }) => server.drain(0)))
  })

  it('asks one node for what has one key, and all of them for all keys', async () => {
    const keys = Array.from({ length: 60 }, (_, i) => `key ${i}`)
    const first = await Promise.all(keys.map((key) => ask(key)))
    expect(new Set(first)).toEqual(new Set(['a', 'b', 'c']))
    expect(await Promise.all(keys.map((key) => ask(key)))).toEqual(first)
  })

  it('asks the next one when a node is gone, without a failed check', async () => {
    const keys = Array.from({ length: 60 }, (_, i) => `key ${i}`)
    const before = await Promise.all(keys.map((key) => ask(key)))
    await named('a').server.drain(0)
    const after = await Promise.all(keys.map((key) => ask(key)))
    for (const [i, id] of before.entries()) if (id !== 'a') expect(after[i]).toBe(id)
    expect(new Set(after)).toEqual(new Set(['b', 'c']))
  })

  it('leaves a hanging node in time for the next one', async () => {
    const hanging = named(await ask('k'))
    hanging.given.check.decide = () => new Promise(() => undefined)
    expect(await ask('k', 1_000)).not.toBe(hanging.id)
    // It rests now.
    expect(await ask('k')).not.toBe(hanging.id)
    expect(hanging.given.check.asked).toHaveLength(2)
  })

  it('asks the next one where a node is overloaded, and comes back to it', async () => {
    const busy = named(await ask('k'))
    busy.given.check.decide = () => {
      throw new IntermixError('OVERLOADED', 'too much to do')
    }
    expect(await ask('k')).not.toBe(busy.id)
    busy.given.check.answer({ requestHeaders: [{ name: 'node', value: 'back', operation: 'REPLACE' }] })
    expect(await ask('k')).toBe('back')
  })

  it('goes on asking a node that has failed with one request', async () => {
    const failing = named(await ask('k'))
    failing.given.check.decide = () => {
      throw new TypeError('a bug')
    }
    expect(await ask('k')).not.toBe(failing.id)
    failing.given.check.answer({ requestHeaders: [{ name: 'node', value: 'there', operation: 'REPLACE' }] })
    expect(await ask('k')).toBe('there')
  })

  it('asks two nodes with one id where both might charge, and with none where that is not worth it', async () => {
    for (const { given } of nodes)
      given.check.decide = () => {
        throw new IntermixError('OVERLOADED', 'too much to do')
      }
    const idsOf = async (demands: Partial<NodeQuestion>) => {
      await expect(pool.ask({ ...ABOUT, ...demands })).rejects.toMatchObject({ code: 'OVERLOADED' })
      const asked = nodes.flatMap(({ given }) => given.check.asked.splice(0))
      expect(asked).toHaveLength(2)
      return asked.map(({ options }) => options.deduplicationId)
    }
    const quotas = new Map([['hits', { amount: 1, bestEffort: false }]])
    const [first, again] = await idsOf({ quotas })
    expect(first).toMatch(/./)
    expect(again).toBe(first)
    expect((await idsOf({ uses: 20 }))[1]).not.toBe(first)
    expect(await idsOf({ quotas, deduplicationId: 'own' })).toEqual(['own', 'own'])
    expect(await idsOf({})).toEqual([undefined, undefined])
    await expect(pool.ask({ ...ABOUT, uses: -3 })).rejects.toMatchObject({ code: 'OVERLOADED' })
    expect(nodes.flatMap(({ given }) => given.check.asked)).toHaveLength(1)
  })

  it('leaves a node that says that it goes', async () => {
    const going = named(await ask('k'))
    going.server.retire()
    await expect.poll(() => ask('k')).not.toBe(going.id)
    // Another one listens there after a while.
    await going.server.drain(0)
    const server = createGrpcServer(servedCalmly(going.given))
    await server.listen({ host: '127.0.0.1', port: going.port })
    nodes.push({ ...going, server })
    await expect.poll(() => ask('k')).toBe(going.id)
  })

  it('says what the last node said, and that it knows none', async () => {
    for (const { given } of nodes)
      given.check.decide = () => {
        throw new IntermixError('OVERLOADED', 'too much to do')
      }
    await expect(ask('k')).rejects.toMatchObject({ code: 'OVERLOADED', message: 'too much to do' })
    pool[Symbol.dispose]()
    pool = new NodePool({ clock: systemClock, random: Math.random, connectTimeoutMs: 5_000 })
    await expect(ask('k')).rejects.toMatchObject({ code: 'NOT_READY' })
  })

  it('takes up nodes that come, and forgets those that are gone from the list', async () => {
    const late = await serve('d')
    nodes.push(late)
    pool.setMembers(membersOf([late]))
    expect(await ask('k')).toBe('d')
    pool.setMembers([])
    expect(await ask('k')).toBe('d')
  })
})
