// Revocations that callers of nodes confirm too, over a real Redis and without one.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Revocations } from '../../src/cache/revocations.ts'
import { RevocationService } from '../../src/cache/revocation-service.ts'
import type { Siblings } from '../../src/kernel/siblings.ts'
import { FakeClock } from '../helpers/clock.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { testLink } from '../redis/support.ts'
import { BY_HANDLER, BY_OTHER, KEYS, type MeshNode, PARTITION_MAX_AGE_MS, RevocationMesh } from './revocation-mesh.ts'

const { link, redis } = await sharedRedis({ commandTimeoutMs: 5_000, emptied: true })
let mesh: RevocationMesh

beforeEach(() => {
  mesh = new RevocationMesh(link)
})

afterEach(() => mesh.stop())

describe('a revocation that callers of nodes are to obey, too', () => {
  const names = ({ callers }: { readonly callers: readonly string[] }) => Array.from(callers).sort()

  /** A caller that does all that its node tells, as fast as it can be told. */
  function following(node: MeshNode, name: string) {
    const caller = node.service.callers.join(name)
    const confirm = () => caller.confirm(node.revocations.epoch)
    const state = { isStuck: false }
    node.revocations.onChange(() => node.clock.after(20, () => state.isStuck || confirm()))
    confirm()
    return { caller, state, confirm }
  }

  it('is acknowledged when they have applied it', async () => {
    const [one, two] = await mesh.three()
    const first = following(one, 's1')
    const second = following(two, 's2')
    await mesh.pass(100)
    expect(await mesh.drive(one.service.revoke(BY_HANDLER))).toMatchObject({
      counts: { confirmed: 3, unconfirmed: 0, silent: 0, callers: 0 },
      callers: [],
    })
    second.state.isStuck = true
    let receipt: Awaited<ReturnType<typeof one.service.revoke>> | undefined
    const revoking = one.service.revoke(BY_HANDLER).then((given) => {
      receipt = given
    })
    await mesh.pass(1_000)
    expect(receipt).toBeUndefined()
    second.confirm()
    await mesh.drive(revoking)
    expect(receipt?.counts).toEqual({ confirmed: 3, unconfirmed: 0, silent: 0, callers: 0 })
    first.caller.leave()
  })

  it('names those that have not in time, and the node that they follow', async () => {
    const [one, two] = await mesh.three()
    following(one, 's1')
    const stuck = following(two, 's2')
    await mesh.pass(100)
    stuck.state.isStuck = true
    const receipt = await mesh.drive(one.service.revoke(BY_HANDLER))
    expect(receipt).toMatchObject({
      counts: { confirmed: 3, unconfirmed: 0, silent: 0, callers: 1 },
      callers: ['s2 (at node n2)'],
      boundMs: 2_000 + PARTITION_MAX_AGE_MS,
    })
    // Again until it has, and no more afterwards.
    expect(names(await mesh.drive(two.service.revoke(BY_OTHER)))).toEqual(['s2 (at node n2)'])
    stuck.state.isStuck = false
    stuck.confirm()
    await mesh.pass(100)
    expect(names(await mesh.drive(two.service.revoke(BY_OTHER)))).toEqual([])
    expect(await link.run((client) => client.hlen(KEYS.late))).toBe(0)
  })

  it('does not wait for callers that are gone, nor name those of a node that is', async () => {
    const [one, two] = await mesh.three()
    const stuck = following(two, 's2')
    await mesh.pass(100)
    stuck.state.isStuck = true
    await mesh.drive(one.service.revoke(BY_HANDLER))
    two.service.stop()
    await mesh.pass(100)
    two.stuck = true
    expect(names(await mesh.drive(one.service.revoke(BY_HANDLER)))).toEqual([])
    expect(await link.run((client) => client.hlen(KEYS.late))).toBe(0)
  })

  it('waits for them where Redis has come back empty', async () => {
    const [one, two] = await mesh.three()
    const stuck = following(two, 's2')
    await mesh.pass(100)
    stuck.state.isStuck = true
    await link.run((client) => client.flushdb())
    const receipt = await mesh.drive(one.service.revoke(BY_HANDLER))
    expect(receipt).toMatchObject({ counts: { confirmed: 3 }, callers: ['s2 (at node n2)'] })
  })

  it('waits for them without Redis, too, in all processes of the node', async () => {
    const log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log }
    const { meter } = testLink(redis.url)
    const clock = new FakeClock()
    const options = { link: undefined, clock, log, meter, prefix: 'alone', partitionMaxAgeMs: 30_000 }
    const answers = new Map<string, (question: unknown) => unknown>()
    const siblings: Siblings = {
      ask: async (name, question) => ({ answers: new Map([['n-2', await answers.get(name)?.(question)]]), silent: [] }),
      answer: () => () => undefined,
    }
    const alone = (nodeId: string, given: Siblings) => {
      const revocations = new Revocations()
      return { revocations, service: new RevocationService({ ...options, revocations, nodeId, siblings: given }) }
    }
    const one = alone('n-1', siblings)
    const two = alone('n-2', { ...siblings, answer: (name, reply) => (answers.set(name, reply), () => undefined) })
    expect(one.revocations.epoch.generation).not.toBe(two.revocations.epoch.generation)
    one.service.callers.join('s1').confirm(one.revocations.epoch)
    const other = two.service.callers.join('s2')
    other.confirm(two.revocations.epoch)
    two.revocations.onChange(() => other.confirm(two.revocations.epoch))
    const revoking = one.service.revoke(BY_HANDLER)
    await clock.advance(1_500)
    expect(await revoking).toMatchObject({
      counts: { confirmed: 2, unconfirmed: 0, silent: 0, callers: 1 },
      confirmed: ['n-1', 'n-2'],
      callers: ['s1 (at node n-1)'],
      boundMs: 32_000,
    })
  })
})
