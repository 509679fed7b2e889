import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Revocations } from '../../src/cache/revocations.ts'
import { RevocationService } from '../../src/cache/revocation-service.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { testLink } from '../redis/support.ts'
import {
  BY_HANDLER,
  BY_OTHER,
  KEYS,
  LOOK_MS,
  OTHER,
  PARTITION_MAX_AGE_MS,
  RevocationMesh,
  serves,
} from './revocation-mesh.ts'

const { link, redis } = await sharedRedis({ commandTimeoutMs: 5_000, emptied: true })
let mesh: RevocationMesh

beforeEach(() => {
  mesh = new RevocationMesh(link)
})

afterEach(() => mesh.stop())

describe('a revocation', () => {
  it('is acknowledged when every live node has applied it', async () => {
    const nodes = await mesh.three()
    const before = nodes.map((node) => node.revocations.epoch)
    const receipt = await mesh.drive(nodes[0].service.revoke(BY_HANDLER))
    expect([...receipt.confirmed].sort()).toEqual(['n1', 'n2', 'n3'])
    expect(receipt.unconfirmed).toEqual([])
    for (const [index, node] of nodes.entries()) {
      const epoch = before[index] ?? node.revocations.epoch
      expect([node.id, serves(node, epoch)]).toEqual([node.id, false])
      expect([node.id, serves(node, epoch, OTHER)]).toEqual([node.id, true])
      expect([node.id, serves(node, node.revocations.epoch)]).toEqual([node.id, true])
    }
  })

  it('is not acknowledged before the last node has applied it', async () => {
    const [one, , third] = await mesh.three()
    third.stuck = true
    let receipt: Awaited<ReturnType<typeof one.service.revoke>> | undefined
    const revoking = one.service.revoke(BY_HANDLER).then((given) => {
      receipt = given
    })
    await mesh.pass(1_500)
    expect(receipt).toBeUndefined()
    third.stuck = false
    await mesh.drive(revoking)
    expect(receipt?.unconfirmed).toEqual([])
  })

  it('names a node that is stuck, after a bounded wait, with the time after which even that node obeys', async () => {
    const [one, two, third] = await mesh.three()
    third.stuck = true
    const askedAt = one.clock.now()
    const receipt = await mesh.drive(one.service.revoke(BY_HANDLER))
    expect(receipt).toMatchObject({ unconfirmed: ['n3'], boundMs: 2_000 + PARTITION_MAX_AGE_MS })
    expect([...receipt.confirmed].sort()).toEqual(['n1', 'n2'])
    expect(one.clock.now() - askedAt).toBeLessThan(4_000)
    expect(serves(two, { ...two.revocations.epoch, sequence: 0 })).toBe(false)
  })

  it('does not wait for a node that was stopped', async () => {
    const [one, , third] = await mesh.three()
    third.service.stop()
    await mesh.pass(50)
    third.stuck = true
    const askedAt = one.clock.now()
    const receipt = await mesh.drive(one.service.revoke(BY_HANDLER))
    expect([...receipt.confirmed].sort()).toEqual(['n1', 'n2'])
    expect(receipt.unconfirmed).toEqual([])
    expect(one.clock.now() - askedAt).toBeLessThan(1_000)
  })

  it('names a node that was not heard lately without waiting for it, and forgets it in the end', async () => {
    const [one, , third] = await mesh.three()
    third.stuck = true
    const silentFor = async (span: number) => {
      const [seconds] = await link.run((client) => client.time())
      await link.run((client) => client.zadd(KEYS.heard, `${Number(seconds) - span}000`, 'n3'))
      await mesh.pass(LOOK_MS)
    }
    await silentFor(17)
    expect(await mesh.drive(one.service.revoke(BY_HANDLER))).toMatchObject({ unconfirmed: [], silent: ['n3'] })
    await silentFor(601)
    expect(await mesh.drive(one.service.revoke(BY_HANDLER))).toMatchObject({ unconfirmed: [], silent: [] })
    for (const key of [KEYS.heard, KEYS.applied]) {
      expect(await link.run((client) => client.zscore(key, 'n3'))).toBeNull()
    }
  })

  it('waits for nodes that are silent because Redis was away for all of them', async () => {
    const [one] = await mesh.three()
    const [seconds] = await link.run((client) => client.time())
    const old = `${Number(seconds) - 60}000`
    for (const node of mesh.nodes) node.wire.cut = true
    await link.run((client) => client.zadd(KEYS.heard, old, 'n1', old, 'n2', old, 'n3'))
    one.wire.cut = false
    const receipt = await mesh.drive(one.service.revoke(BY_HANDLER))
    expect([...receipt.unconfirmed].sort()).toEqual(['n2', 'n3'])
  })

  it('waits for nodes to come back where Redis has come back empty', async () => {
    const [one, two, third] = await mesh.three()
    two.wire.cut = true
    third.wire.cut = true
    await link.run((client) => client.flushdb())
    const revoking = one.service.revoke(BY_HANDLER)
    await mesh.pass(1_000)
    two.wire.cut = false
    third.wire.cut = false
    expect([...(await mesh.drive(revoking)).confirmed].sort()).toEqual(['n1', 'n2', 'n3'])
  })

  it('is known to a node that joins later', async () => {
    const [one] = await mesh.three()
    const before = one.revocations.epoch
    await mesh.drive(one.service.revoke(BY_HANDLER))
    const late = await mesh.join('n4')
    expect(serves(late, before)).toBe(false)
    expect(serves(late, before, OTHER)).toBe(true)
    expect(late.revocations.epoch).toEqual(one.revocations.epoch)
  })

  it('revokes everything below for a node that missed records which are no longer kept', async () => {
    const [one, , third] = await mesh.three()
    const before = third.revocations.epoch
    third.wire.cut = true
    const target = (i: number) => ({ kind: 'handler', handler: `h${i}.handler.test` }) as const
    for (let i = 1; i <= 4; i++) await mesh.drive(one.service.revoke(target(i)))
    await link.run((client) => client.zremrangebyscore(KEYS.log, 0, 2))
    third.wire.cut = false
    await mesh.pass(1_200)
    expect(serves(third, before, OTHER)).toBe(false)
    expect(serves(one, before, OTHER)).toBe(true)
    expect(third.revocations.epoch).toEqual(one.revocations.epoch)
  })

  it('rejects while Redis is down, and nothing is revoked anywhere, then or later', async () => {
    const nodes = await mesh.three()
    const before = nodes.map((node) => node.revocations.epoch)
    for (const node of nodes) node.wire.cut = true
    await expect(mesh.drive(nodes[0].service.revoke(BY_HANDLER))).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    for (const node of nodes) node.wire.cut = false
    await mesh.pass(1_200)
    expect(nodes.map((node) => node.revocations.epoch)).toEqual(before)
  })

  it.each([1, 2, 3])('is not acknowledged where Redis goes away after call %i of it', async (calls) => {
    const [one] = await mesh.three()
    one.wire.cutAfter = calls
    const answer = await mesh.drive(
      one.service.revoke(BY_HANDLER).catch((error: unknown) => ({ ...(error as object), unconfirmed: ['all'] })),
    )
    expect(answer.unconfirmed).not.toEqual([])
  })

  it('is counted where there are many nodes, of which the first of each kind are named', async () => {
    const [one] = await mesh.three()
    const [seconds] = await link.run((client) => client.time())
    for (const [kind, at] of [['alive', seconds] as const, ['dead', Number(seconds) - 60] as const]) {
      const nodes = Array.from({ length: 1_500 }, (_, i) => [`${at}000`, `${kind}-${i}`])
      await link.run((client) => client.zadd(KEYS.heard, ...nodes.flat()))
    }
    const { counts, confirmed, unconfirmed, silent } = await mesh.drive(one.service.revoke(BY_HANDLER))
    expect(counts).toEqual({ confirmed: 3, unconfirmed: 1_500, silent: 1_500, callers: 0 })
    expect([...confirmed].sort()).toEqual(['n1', 'n2', 'n3'])
    expect([unconfirmed.length, silent.length]).toEqual([100, 100])
    expect([...new Set([...unconfirmed, ...silent].map((name) => name.split('-')[0]))]).toEqual(['alive', 'dead'])
  })

  it('voids everything where another run of Redis has the log, before any node has asked it', async () => {
    const nodes = await mesh.three()
    await mesh.drive(nodes[0].service.revoke(BY_OTHER))
    const before = nodes[0].revocations.epoch
    for (const node of nodes) node.stuck = true
    await mesh.setHead((head) => ({ ...head, run: 'of-before' }))
    nodes[1].stuck = false
    const revoking = nodes[1].service.revoke(BY_HANDLER)
    await mesh.pass(500)
    for (const node of nodes) node.stuck = false
    expect(await mesh.drive(revoking)).toMatchObject({ sequence: 1, unconfirmed: [] })
    for (const node of nodes) expect([node.id, serves(node, before, OTHER)]).toEqual([node.id, false])
  })

  it('is read in pages by a node that joins late', async () => {
    const [one] = await mesh.three()
    const target = JSON.stringify(BY_OTHER)
    const records = Array.from({ length: 2_345 }, (_, i) => [
      i + 1,
      `${i + 1} x ${i === 2_300 ? JSON.stringify(BY_HANDLER) : target}`,
    ])
    await link.run((client) => client.zadd(KEYS.log, ...records.flat()))
    await mesh.setHead((head) => ({ ...head, sequence: records.length, mark: 'x' }))
    const late = await mesh.join('n4')
    const epoch = { ...late.revocations.epoch, sequence: 2_300 }
    expect(late.revocations.epoch.sequence).toBe(2_345)
    expect([serves(late, epoch), serves(late, epoch, 'another.handler.test')]).toEqual([false, true])
    await mesh.pass(1_200)
    expect(one.revocations.epoch).toEqual(late.revocations.epoch)
  })

  it('rejects with REDIS_UNAVAILABLE where Redis is full, and nodes stay in touch', async () => {
    const [one] = await mesh.three()
    await link.run((client) => client.config('SET', 'maxmemory', '1'))
    try {
      await mesh.pass(2 * LOOK_MS)
      expect(mesh.nodes.map((node) => node.service.inTouch())).toEqual([true, true, true])
      const revoking = mesh.drive(one.service.revoke(BY_HANDLER))
      await expect(revoking).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    } finally {
      await link.run((client) => client.config('SET', 'maxmemory', '0'))
    }
  })
})

describe('the log of revocations', () => {
  /** Every node has left `generation`, agrees with the others, and stays with it. */
  async function startsAnewOnce(generation: string): Promise<void> {
    await mesh.pass(LOOK_MS)
    const [first] = mesh.nodes
    const anew = first?.revocations.epoch
    expect(anew?.generation).not.toBe(generation)
    for (const node of mesh.nodes) {
      expect(node.revocations.epoch).toEqual(anew)
      expect(serves(node, { generation, sequence: 1_000 }, OTHER)).toBe(false)
    }
    await mesh.pass(1_000)
    for (const node of mesh.nodes) expect(node.revocations.epoch).toEqual(anew)
    const [one] = mesh.nodes
    const receipt = one === undefined ? undefined : await mesh.drive(one.service.revoke(BY_HANDLER))
    expect(receipt?.unconfirmed).toEqual([])
  }

  it.each([
    ['flushed', () => link.run((client) => client.flushdb())],
    ['without its head', () => link.run((client) => client.del(KEYS.head))],
    ['with a head that is garbage', () => link.run((client) => client.set(KEYS.head, 'garbage'))],
    ['with a head of another type', () => link.run((client) => retype(client, KEYS.head))],
    ['with a head of an hour ago', () => mesh.setHead((head) => ({ ...head, sequence: 1 }))],
    ['with a sequence that is no number', () => mesh.setHead((head) => ({ ...head, sequence: 'garbage' }))],
    ['without knowing its nodes', () => link.run((client) => client.del(KEYS.heard))],
    ['with a list in place of who has applied', () => link.run((client) => retype(client, KEYS.applied))],
    ['with a list in place of the reunion', () => link.run((client) => retype(client, KEYS.reunion))],
    ['with a list in its place', () => link.run((client) => retype(client, KEYS.log))],
    ['with a list in place of the nodes', () => link.run((client) => retype(client, KEYS.heard))],
    ['without the run of its server', () => mesh.setHead((head) => ({ ...head, run: '-' }))],
    ['with the run of another server', () => mesh.setHead((head) => ({ ...head, run: 'another' }))],
    ['with a generation that is no name', () => mesh.setHead((head) => ({ ...head, generation: 'a b' }))],
    ['with a generation of no date', () => mesh.setHead((head) => ({ ...head, generation: `x@${'9'.repeat(30)}` }))],
    ['with a sequence beyond all counting', () => mesh.setHead((head) => ({ ...head, sequence: '9'.repeat(18) }))],
    ['with an endless record', () => link.run((client) => client.zadd(KEYS.log, 'inf', '4 x {"kind":"all"}'))],
    ['with a record from the future', () => link.run((client) => client.zadd(KEYS.log, 99, '99 x {"kind":"all"}'))],
  ])('starts anew, once and on all nodes, when it is found %s', async (_, spoil) => {
    const [one] = await mesh.three()
    for (let i = 0; i < 3; i++) await mesh.drive(one.service.revoke(BY_HANDLER))
    const { generation } = one.revocations.epoch
    await spoil()
    await startsAnewOnce(generation)
  })

  async function retype(client: Parameters<Parameters<RedisLink['run']>[0]>[0], key: string): Promise<void> {
    await client.del(key)
    await client.rpush(key, 'a', 'b')
  }

  it('starts anew when a failover lost its last record and another one took the number', async () => {
    const [one, two, third] = await mesh.three()
    await mesh.drive(one.service.revoke(BY_OTHER))
    await mesh.drive(one.service.revoke(BY_OTHER))
    const before = one.revocations.epoch
    expect(before.sequence).toBe(2)
    await link.run((client) => client.zremrangebyscore(KEYS.log, 2, 2))
    await mesh.setHead((head) => ({ ...head, sequence: 1 }))
    const receipt = await mesh.drive(two.service.revoke(BY_HANDLER))
    expect(receipt.unconfirmed).toEqual([])
    for (const node of [one, two, third]) expect([node.id, serves(node, before)]).toEqual([node.id, false])
  })

  it('starts anew so too where the node that revokes knows nothing of what was lost', async () => {
    const [one, two] = await mesh.three()
    await mesh.drive(one.service.revoke(BY_OTHER))
    const before = one.revocations.epoch
    for (const node of mesh.nodes) node.stuck = true
    await link.run((client) => client.del(KEYS.log, KEYS.head))
    const late = await mesh.join('n4')
    const revoking = late.service.revoke(BY_HANDLER)
    await mesh.pass(500)
    for (const node of mesh.nodes) node.stuck = false
    expect((await mesh.drive(revoking)).unconfirmed).toEqual([])
    for (const node of [one, two]) expect([node.id, serves(node, before)]).toEqual([node.id, false])
  })

  it.each([
    'garbage',
    '4',
    '4 x',
    '4 x {"kind":"some"}',
    '4 x {"kind":',
    'NaN x {"kind":"handler","handler":"h"}',
    '77 x {"kind":"handler","handler":"h"}',
    '4 x {"kind":"attribute","name":"","value":"eve"}',
  ])('with the record %s revokes everything instead, and goes on', async (record) => {
    const nodes = await mesh.three()
    for (let i = 0; i < 3; i++) await mesh.drive(nodes[0].service.revoke(BY_HANDLER))
    const before = nodes[0].revocations.epoch
    await mesh.setHead((head) => ({ ...head, sequence: 4 }))
    await link.run((client) => client.zadd(KEYS.log, 4, record))
    await mesh.pass(1_200)
    for (const node of nodes) {
      expect([node.id, serves(node, before, OTHER)]).toEqual([node.id, false])
      expect(serves(node, node.revocations.epoch, OTHER)).toBe(true)
    }
    const after = nodes[0].revocations.epoch
    const receipt = await mesh.drive(nodes[0].service.revoke(BY_HANDLER))
    expect(receipt).toMatchObject({ sequence: 5, unconfirmed: [] })
    for (const node of nodes) expect([node.id, serves(node, after)]).toEqual([node.id, false])
  })

  it('from which a record has gone revokes everything instead, and goes on', async () => {
    const nodes = await mesh.three()
    for (let i = 0; i < 3; i++) await mesh.drive(nodes[0].service.revoke(BY_OTHER))
    const before = nodes[0].revocations.epoch
    const last = `5 x ${JSON.stringify(BY_OTHER)}`
    await link.run((client) => client.zadd(KEYS.log, 5, last))
    await mesh.setHead((head) => ({ ...head, sequence: 5 }))
    await mesh.pass(1_200)
    for (const node of nodes) {
      expect([node.id, serves(node, before)]).toEqual([node.id, false])
      expect(serves(node, node.revocations.epoch)).toBe(true)
    }
    const after = nodes[0].revocations.epoch
    const receipt = await mesh.drive(nodes[0].service.revoke(BY_HANDLER))
    expect(receipt).toMatchObject({ sequence: 6, unconfirmed: [] })
    for (const node of nodes) {
      expect([node.id, serves(node, after)]).toEqual([node.id, false])
      expect([node.id, serves(node, after, OTHER)]).toEqual([node.id, true])
    }
  })

  it('bounds the age of what a node serves that is out of touch, and lifts the bound when it is back', async () => {
    const [one] = await mesh.three()
    expect(one.service.maxAgeMs()).toBe(Number.POSITIVE_INFINITY)
    one.wire.cut = true
    await mesh.pass(1_500)
    expect(one.service.maxAgeMs()).toBe(Number.POSITIVE_INFINITY)
    await mesh.pass(600)
    expect(one.service.inTouch()).toBe(false)
    expect(one.service.maxAgeMs()).toBe(PARTITION_MAX_AGE_MS)
    one.wire.cut = false
    await mesh.pass(600)
    expect(one.service.maxAgeMs()).toBe(Number.POSITIVE_INFINITY)
  })

  it('costs an idle node two or three short calls a second', async () => {
    const [one] = await mesh.three()
    const before = one.wire.calls
    await mesh.pass(20_000)
    expect(one.wire.calls - before).toBeLessThanOrEqual(46)
    expect(one.service.inTouch()).toBe(true)
  })

  it('is not believed of a server that has been demoted', async () => {
    const [one] = await mesh.three()
    await link.run((client) => client.replicaof('127.0.0.1', '1'))
    try {
      await mesh.pass(2_500)
      expect(one.service.inTouch()).toBe(false)
    } finally {
      await link.run((client) => client.replicaof('NO', 'ONE'))
    }
  })

  it('does not depend on the names of nodes', async () => {
    const node = await mesh.join('a node, "named" at will')
    const { generation } = node.revocations.epoch
    const receipt = await mesh.drive(node.service.revoke(BY_HANDLER))
    expect(receipt).toMatchObject({ confirmed: [node.id], unconfirmed: [] })
    await mesh.pass(600)
    expect(node.revocations.epoch).toEqual({ generation, sequence: 1 })
  })

  it('is not held up by a node that was heard in times to come', async () => {
    const [one] = await mesh.three()
    await link.run((client) => client.zadd(KEYS.heard, 4_000_000_000_000, 'ghost'))
    await link.run((client) => client.zadd(KEYS.applied, 7, 'ghost'))
    await mesh.pass(LOOK_MS)
    const [seconds] = await link.run((client) => client.time())
    const heard = await link.run((client) => client.zscore(KEYS.heard, 'ghost'))
    expect(Number(heard)).toBeLessThanOrEqual((Number(seconds) + 1) * 1_000)
    expect(await link.run((client) => client.zscore(KEYS.applied, 'ghost'))).toBeNull()
    expect((await mesh.drive(one.service.revoke(BY_HANDLER))).unconfirmed).toEqual(['ghost'])
  })

  it('is not needed by a process that is the whole mesh', async () => {
    const [{ clock, log }] = await mesh.three()
    const { meter } = testLink(redis.url)
    const revocations = new Revocations()
    const service = new RevocationService({
      revocations,
      link: undefined,
      clock,
      log,
      meter,
      prefix: 'alone',
      nodeId: 'alone',
      partitionMaxAgeMs: 0,
    })
    const before = revocations.epoch
    expect(await service.revoke(BY_HANDLER)).toMatchObject({ confirmed: ['alone'], unconfirmed: [], boundMs: 0 })
    expect(revocations.allows(before, [BY_HANDLER.handler], { get: () => undefined, names: () => [] })).toBe(false)
    expect(service.maxAgeMs()).toBe(Number.POSITIVE_INFINITY)
  })
})
