// Two nodes that have a key in common, and somebody who can write to their Redis.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { meshKey } from '../cache/mesh-key-support.ts'
import { type Intermix, revoke } from './intermix.ts'
import { type Mesh, startMesh } from './mesh.ts'

const KEY = meshKey('whole')

let mesh: Mesh
let folder: string
let redis: Redis
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'intermix-mesh-key-'))
  const file = join(folder, 'mesh.key')
  await writeFile(file, `${KEY}\n`, { mode: 0o600 })
  const patient = ['--redis-timeout', '2s', '--check-timeout', '30s']
  const address = ['--advertise-address', '127.0.0.1:9']
  mesh = await startMesh({
    nodes: 2,
    workers: 0,
    nodeFlags: ['--mesh-key', file, '--trust-forwarded', '127.0.0.1/32', ...patient, ...address],
  })
  redis = new Redis(mesh.redis.url)
})
afterAll(async () => {
  redis.disconnect()
  await mesh.stop()
  await rm(folder, { recursive: true })
})

async function check(node: number, user: string): Promise<{ status: number; tier: string | null }> {
  const headers = { 'x-forwarded-uri': '/entitled', 'x-forwarded-method': 'GET', 'x-user': user }
  const answer = await fetch(`http://127.0.0.1:${mesh.nodes[node]?.httpPort ?? 0}/v1/authz`, { headers })
  await answer.arrayBuffer()
  return { status: answer.status, tier: answer.headers.get('x-intermix-tier') }
}

const page = async ({ adminUrl }: Intermix, path: string) => await (await fetch(`${adminUrl}${path}`)).text()
const verdicts = () => redis.keys('intermix:{*}:v')

it('share verdicts, believe none that is forged, and revoke', { timeout: 60_000 }, async () => {
  const second = mesh.nodes[1] as Intermix
  // A node is ready before it follows the log of revocations.
  let user = 300
  const shares = async () => {
    user += 3
    expect((await check(0, `user-${user}`)).status).toBe(403)
    expect((await check(1, `user-${user}`)).tier).toBe('mesh')
  }
  await vi.waitFor(shares, { timeout: 60_000, interval: 100 })

  const before = await verdicts()
  expect((await check(0, 'user-3')).status).toBe(403)
  await expect.poll(async () => (await verdicts()).length).toBeGreaterThan(before.length)
  for (const key of (await verdicts()).filter((name) => !before.includes(name))) {
    const blob = JSON.parse((await redis.hget(key, 'b')) ?? '') as object
    await redis.hset(key, 'b', JSON.stringify({ ...blob, kind: 'allow', code: 0, message: '' }))
  }
  expect(await check(1, 'user-3')).toEqual({ status: 403, tier: 'backend' })
  expect(await page(second, '/metrics')).toMatch(/^intermix_mesh_refused_total\{kind="entry",reason="forged"\} 1$/m)

  expect(await revoke(second, '-a', 'request.headers[x-user]=user-3')).toMatchObject({ code: 0 })
  expect((await check(0, 'user-3')).tier).toBe('backend')
})

it('show their key nowhere', async () => {
  for (const node of mesh.nodes) {
    const { views } = JSON.parse(await page(node, '/debug')) as { views: readonly string[] }
    const pages = await Promise.all(['/metrics', '/readyz', ...views].map((path) => page(node, path)))
    for (const text of [...pages, node.child.output()]) {
      expect(text).not.toContain(KEY)
      expect(text).not.toContain(Buffer.from(KEY, 'base64').toString('hex'))
    }
  }
})
