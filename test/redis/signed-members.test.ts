// Who can write to Redis names addresses of its own as nodes: nodes with the key of their mesh tell callers of none.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { MeshSignatures } from '../../src/kernel/mesh-signatures.ts'
import { MemberBeats, memberKeys } from '../../src/redis/member-beats.ts'
import { SignedMembers } from '../../src/redis/signed-members.ts'
import { meshKeys } from '../cache/mesh-key-support.ts'
import { FakeClock } from '../helpers/clock.ts'
import { sharedRedis } from './shared-redis.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 5_000, emptied: true })
const PREFIX = 'test'
const [HEARD = '', LEAVING = '', VERSION = '', SIGNED = ''] = memberKeys(PREFIX)
const [ONE, TWO, EVIL] = ['10.0.0.1:9091', '10.0.0.2:9091', '203.0.113.6:9091'] as const
const HOUR_MS = 3_600_000

describe('nodes with the key of their mesh', () => {
  const beats: MemberBeats[] = []
  let clock: FakeClock

  function joined(address: string, signatures?: MeshSignatures): MemberBeats {
    const made = new MemberBeats({ link, clock, prefix: PREFIX, address, signatures })
    beats.push(made)
    made.start()
    return made
  }

  const serverNow = async () => Number((await link.run((client) => client.time()))[0]) * 1_000

  /** Names the forger's address as if it had just been heard, with what is given as signed. */
  async function name(signed?: string): Promise<void> {
    const now = await serverNow()
    await link.run(async (client) => {
      await client.zadd(HEARD, now, EVIL)
      if (signed !== undefined) await client.hset(SIGNED, EVIL, signed)
      await client.set(VERSION, `forged.${Math.random()}`)
    })
  }

  const settles = (seen: () => unknown) =>
    expect.poll(async () => {
      await clock.advance(2_000)
      return seen()
    })

  /** Lets some beats be answered. */
  async function beat(times = 3): Promise<void> {
    for (let i = 0; i < times; i++) {
      await clock.advance(2_000)
      for (let turn = 0; turn < 3; turn++) await link.run((client) => client.ping())
    }
  }

  beforeEach(() => {
    clock = new FakeClock()
  })

  afterEach(async () => {
    for (const made of beats.splice(0)) made.stop()
    await link.run((client) => client.ping())
  })

  it('tell of each other, also when Redis has lost everything', async () => {
    const { keys, refused } = meshKeys(['a'])
    const [one, two] = [joined(ONE, keys), joined(TWO, meshKeys(['b', 'a']).keys)]
    await settles(() => one.members()?.nodes).toEqual([ONE])
    expect(refused('member', 'unknown_key')).toBeGreaterThan(0)
    await settles(() => two.members()?.nodes).toEqual([ONE, TWO])
    await link.run((client) => client.flushdb())
    await beat(10)
    expect(two.members()?.nodes).toEqual([ONE, TWO])
    expect(await link.run((client) => client.hkeys(SIGNED))).toHaveLength(2)
    one.stop()
    await settles(() => two.members()?.nodes).toEqual([TWO])
    expect(await link.run((client) => client.hkeys(SIGNED))).toEqual([TWO])
  })

  it.each([
    ['unsigned', () => undefined],
    ['unsigned', () => 'what nobody has signed'],
    ['unknown_key', (now: number) => `${now + HOUR_MS} none.of-ours`],
    ['forged', (now: number) => new SignedMembers(meshKeys(['a']).keys).sign(ONE, now)],
    ['forged', (now: number) => `${now + HOUR_MS} ${meshKeys(['a']).keys.sign('entry', EVIL)}`],
    [
      'forged',
      (now: number) => new SignedMembers(meshKeys(['a']).keys).sign(EVIL, now).replace(/^\d+/, String(now + HOUR_MS)),
    ],
    ['expired', (now: number) => new SignedMembers(meshKeys(['a']).keys).sign(EVIL, now - HOUR_MS)],
  ] as const)('tell of no address that is %s', async (reason, sign) => {
    const { keys, refused } = meshKeys(['a'])
    const one = joined(ONE, keys)
    await settles(() => one.members()?.nodes).toEqual([ONE])
    await name(sign(await serverNow()))
    await link.run((client) => client.zadd(LEAVING, Date.now(), EVIL))
    await beat()
    expect(one.members()).toEqual({ nodes: [ONE], leaving: [] })
    expect(refused('member', reason)).toBeGreaterThan(0)
  })

  it('tell of nodes without the key while they accept what is unsigned, and these of them', async () => {
    const { keys } = meshKeys(['a'], { mode: 'accept' })
    const [one, two] = [joined(ONE, keys), joined(TWO)]
    await settles(() => [one.members()?.nodes, two.members()?.nodes]).toEqual([
      [ONE, TWO],
      [ONE, TWO],
    ])
    await name(`${(await serverNow()) + HOUR_MS} ${keys.sign('entry', EVIL)}`)
    await beat()
    expect(one.members()?.nodes).toEqual([ONE, TWO])
    expect(two.members()?.nodes).toContain(EVIL)
  })
})
