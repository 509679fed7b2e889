// Real sidecars say to real nodes what they would find with more answers and with fewer, and are told how many to keep.
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { NodeTuning } from '../../src/cli/cache-tables.ts'
import { runCommand } from '../../src/cli/commands.ts'
import { seededRandom } from '../../load/random.ts'
import { testIo } from '../cli/support.ts'
import { type SidecarProcess, startSidecar, sumOfSeries } from './intermix.ts'
import { type Mesh, startMesh } from './mesh.ts'

/** Users who ask at random, one after the other: one sidecar has room for far more of them, the other for a third. */
const USERS = 1_500
const ROOMY = 40_000
const NARROW = 500
const CHECKS = 12_000

let mesh: Mesh
const sidecars: Record<string, SidecarProcess> = {}
const ends: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'intermix-sizes-'))
  ends.push(() => rm(folder, { recursive: true, force: true }))
  mesh = await startMesh({ nodes: 1, workers: 1 })
  ends.push(() => mesh.stop())
  const nodePorts = mesh.nodes.map(({ grpcPort }) => grpcPort)
  for (const [nodeId, entries] of [
    ['roomy', ROOMY],
    ['narrow', NARROW],
  ] as const) {
    const sidecar = await startSidecar({ nodePorts, nodeId, folder, flags: ['--l1-entries', String(entries)] })
    ends.push(() => sidecar.child.stop())
    sidecars[nodeId] = sidecar
  }
})
afterAll(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function drive({ httpPort }: SidecarProcess): Promise<void> {
  const random = seededRandom(1)
  const agent = new Agent({ keepAlive: true, maxSockets: 8 })
  let next = 0
  const some = async () => {
    while (next++ < CHECKS) {
      const headers = { 'x-user': `user-${Math.floor(random() * USERS)}` }
      const attributes = { 'request.path': '/entitled', 'request.headers': headers }
      await post(agent, httpPort, JSON.stringify({ attributes }))
    }
  }
  await Promise.all(Array.from({ length: 8 }, some))
  agent.destroy()
}

function post(agent: Agent, port: number, body: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = request({ agent, port, method: 'POST', path: '/v1/check' }, (answer) => {
      answer.resume().on('end', resolve)
    })
    asked.on('error', reject).end(body)
  })
}

async function callersOf(adminUrl: string): Promise<NodeTuning['callers']> {
  const io = testIo()
  expect(await runCommand(['cache', '--json', '--admin', adminUrl], io)).toBe(0)
  return (JSON.parse(io.lines.join('')) as NodeTuning).callers
}

it('recommends sizes that follow from what sidecars are asked', async () => {
  await Promise.all(Object.values(sidecars).map((sidecar) => drive(sidecar)))
  const node = mesh.nodes[0]?.adminUrl ?? ''
  const told = async (nodeId: string) => await sidecars[nodeId]?.count('intermix_first_level_recommended_answers')
  // A sample that was sent on the way may know little: there is one each minute.
  await vi.waitFor(
    async () => {
      const callers = await callersOf(node)
      const of = (nodeId: string) => callers?.find(({ name }) => name === nodeId)
      const [roomy, narrow] = [of('roomy'), of('narrow')]
      // It says what fits, by the bytes that its answers take.
      expect(roomy?.entries).toBeGreaterThan(ROOMY / 2)
      expect(roomy?.recommendedEntries).toBe(Math.ceil((roomy?.entries ?? 0) / 8))
      expect(roomy?.hitRatio).toBeGreaterThan(0.6)
      expect(narrow?.entries).toBe(NARROW)
      expect(narrow?.recommendedEntries).toBeGreaterThan(2 * NARROW)
      expect(narrow?.recommendedHitRatio).toBeGreaterThan((narrow?.hitRatio ?? 1) + 0.2)
      expect(await told('roomy')).toBe(roomy?.recommendedEntries)
      expect(await told('narrow')).toBe(narrow?.recommendedEntries)
      const metrics = await (await fetch(`${node}/metrics`)).text()
      const present = sumOfSeries(metrics, 'intermix_cache_caller_entries{size="present"}')
      expect(present).toBe((roomy?.entries ?? 0) + NARROW)
    },
    { timeout: 200_000, interval: 500 },
  )
})
