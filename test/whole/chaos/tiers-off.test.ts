// Each tier of the verdict cache can be switched off: the answers stay the same, and say where they came from.

import { afterEach, describe, expect, it } from 'vitest'
import { sharedRedis } from '../../redis/shared-redis.ts'
import { until } from '../../redis/support.ts'
import { type ChaosMesh, startChaosMesh } from './nodes.ts'

const { link: admin, redis } = await sharedRedis({ commandTimeoutMs: 5_000 })
let mesh: ChaosMesh | undefined

afterEach(() => mesh?.stop())

/** Asks for some users until all tiers that there are have answered. @returns the tiers and the calls of the backend. */
async function tiersWith(...flags: string[]) {
  const prefix = `tiers-${flags.length}-${flags.join('').replaceAll(/[^a-z]/g, '')}`
  mesh = await startChaosMesh(['--redis', redis.url, '--redis-prefix', prefix, ...flags])
  const { askNew, nodes, backend } = mesh
  for (const node of nodes) {
    const inTouch = async () => (await node.metric('intermix_revocations_in_touch')) === 1
    await until(inTouch, 'the node follows revocations')
  }
  const before = backend.count
  const tiers = await askNew(20)
  const stored = async () => (await admin.run((client) => client.keys(`${prefix}:*:v`))).length
  return { tiers: [...new Set(tiers)].sort(), calls: backend.count - before, answers: tiers.length, stored }
}

describe('with the tiers of the cache', () => {
  it('all on, the backend is asked once a question', async () => {
    const { tiers, calls, answers, stored } = await tiersWith()
    await until(async () => (await stored()) === answers / 4, 'all verdicts are stored in Redis')
    expect(tiers).toEqual(['backend', 'local', 'mesh'])
    // A node may ask before the other's verdict has reached Redis.
    expect(calls).toBeGreaterThanOrEqual(answers / 4)
    expect(calls).toBeLessThanOrEqual(answers / 2)
  })

  it('local off, every answer comes from the mesh or the backend', async () => {
    const { tiers, calls, answers } = await tiersWith('--cache-local', 'off')
    expect(tiers).toEqual(['backend', 'mesh'])
    expect(calls).toBeLessThan(answers)
  })

  it('mesh off, each node asks the backend once a question, and nothing is stored in Redis', async () => {
    const { tiers, calls, answers, stored } = await tiersWith('--cache-mesh', 'off')
    expect(tiers).toEqual(['backend', 'local'])
    expect(await stored()).toBe(0)
    expect(calls).toBe(answers / 2)
  })

  it('both off, the backend is asked every time', async () => {
    const { tiers, calls, answers } = await tiersWith('--cache-local', 'off', '--cache-mesh', 'off')
    expect(tiers).toEqual(['backend'])
    expect(calls).toBe(answers)
  })
})
