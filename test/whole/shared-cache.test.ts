// Verdicts are shared by the mesh: what one node has asked a backend, no other node asks again.
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { sumOfSeries } from './intermix.ts'
import { type Mesh, startMesh } from './mesh.ts'

let mesh: Mesh
beforeAll(async () => {
  // A node that waits too long for a loaded machine's Redis, or for the other node, asks the backend itself, as it should; not here.
  const nodeFlags = ['--trust-forwarded', '127.0.0.1/32', '--redis-timeout', '2s', '--check-timeout', '30s']
  mesh = await startMesh({ nodes: 2, workers: 0, nodeFlags })
  // A node is ready before it follows the mesh's revocations, and keeps what it answers until then to itself: new
  // questions are asked until each node has taken an answer of the other's.
  let user = 100
  for (const [first, second] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const shares = async () => {
      user += 1
      await check(first, `user-${user}`)
      const { tier } = await check(second, `user-${user}`)
      if (tier !== 'mesh') throw new Error(`node ${second + 1} answers from the tier ${tier}`)
    }
    await vi.waitFor(shares, { timeout: 60_000, interval: 100 })
  }
})
afterAll(async () => {
  await mesh.stop()
})

/** Asks a node by forward-auth. */
async function check(node: number, user: string): Promise<{ status: number; tier: string | null; text: string }> {
  const headers = { 'x-forwarded-uri': '/entitled', 'x-forwarded-method': 'GET', 'x-user': user }
  const answer = await fetch(`http://127.0.0.1:${mesh.nodes[node]?.httpPort ?? 0}/v1/authz`, { headers })
  const text = await answer.text()
  return { status: answer.status, tier: answer.headers.get('x-intermix-tier'), text }
}

/** Checks that joined a call under way, at both nodes. */
async function coalesced(): Promise<number> {
  const pages = mesh.nodes.map(async ({ adminUrl }) => await (await fetch(`${adminUrl}/metrics`)).text())
  return (await Promise.all(pages)).reduce((sum, page) => sum + sumOfSeries(page, 'intermix_cache_coalesced_total'), 0)
}

/** Verdicts are written to Redis after the answer has gone out: tests wait for them here. */
async function storedVerdicts(): Promise<number> {
  const client = new Redis(mesh.redis.url)
  try {
    return (await client.keys('intermix:{*}:v')).length
  } finally {
    client.disconnect()
  }
}

describe('two nodes with one Redis', () => {
  it('ask the backend once for the same question at one node and then at the other', async () => {
    const before = mesh.policyBackend.count
    const stored = await storedVerdicts()
    expect((await check(0, 'user-1')).status).toBe(200)
    expect(mesh.policyBackend.count).toBe(before + 1)
    await expect.poll(() => storedVerdicts()).toBeGreaterThan(stored)
    const tiers = [(await check(1, 'user-1')).tier, (await check(1, 'user-1')).tier]
    expect(mesh.policyBackend.count).toBe(before + 1)
    expect(tiers).toEqual(['mesh', 'local'])
  })

  it('share denials too', async () => {
    const before = mesh.policyBackend.count
    const stored = await storedVerdicts()
    expect((await check(1, 'user-3')).status).toBe(403)
    await expect.poll(() => storedVerdicts()).toBeGreaterThan(stored)
    expect((await check(0, 'user-3')).status).toBe(403)
    expect(mesh.policyBackend.count).toBe(before + 1)
  })

  it('ask once when both are asked at the same moment by many', async () => {
    const before = mesh.policyBackend.count
    const coalescedBefore = await coalesced()
    const released = Promise.withResolvers<void>()
    mesh.policyBackend.answerWith(async () => {
      await released.promise
      return { status: 200 }
    })
    const asked = Promise.all(Array.from({ length: 40 }, (_, i) => check(i % 2, 'user-5')))
    // All but the first at each node, one of which waits for the other node.
    await expect.poll(async () => (await coalesced()) - coalescedBefore).toBe(38)
    released.resolve()
    const answers = await asked
    expect(answers.filter(({ status }) => status !== 200)).toEqual([])
    expect(mesh.policyBackend.count).toBe(before + 1)
  })
})
