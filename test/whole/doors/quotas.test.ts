// One quota, charged through every proxy and at every door: together they get what there is, and no door gets more.
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ROOT } from '../intermix.ts'
import { toolOrSkip } from '../../helpers/tools.ts'
import { missingTools, startDoors } from './doors.ts'

const missing = missingTools().filter((tool) => toolOrSkip(tool) === undefined)
const ROUNDS = 3
const DOORS = [
  'nginx',
  'Caddy',
  'HAProxy',
  'Envoy as shipped',
  'Envoy over gRPC',
  'Envoy, by HTTP/2',
  'Envoy with the filter in it',
  'Envoy with the filter in it, by HTTP/2',
  'Envoy over HTTP',
  'json',
  'batch',
]

const limit = (maxAmount: number) => `
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: limit-keys}
spec:
  match: request.path == "/limited"
  actions:
    - handler: {adapter: quota, params: {quotas: [{name: per-key, limits: [{maxAmount: ${maxAmount}, calendar: year}]}]}}
      instances:
        - {name: per-key, template: quota, params: {dimensions: {key: 'pick(request.headers["x-api-key"], "none")'}}}
`

describe.skipIf(missing.length > 0)('a quota of a rule', () => {
  it('is charged by every door, and ends at every door; a client of Mixer has to name it', async () => {
    const config = await mkdtemp(join(tmpdir(), 'intermix-quotas-'))
    await cp(join(ROOT, 'examples/quickstart/attributes.yaml'), join(config, 'attributes.yaml'))
    await writeFile(join(config, 'limit.yaml'), limit(DOORS.length * ROUNDS))
    const doors = await startDoors({ config })
    try {
      const message = {
        method: 'GET',
        target: '/limited',
        version: 'HTTP/1.1',
        headers: [
          ['Host', 'shop.example'],
          ['x-api-key', 'k'],
        ],
      } as const
      const described = { scalars: { 'request.path': '/limited' }, headers: { 'x-api-key': 'k' }, query: undefined }
      const asks = new Map([
        ...doors.proxies.map((proxy) => [proxy.name, async () => (await proxy.pass(message)).status] as const),
        ...(['json', 'batch'] as const).map((name) => [name, () => doors.programs[name](described)] as const),
      ])
      expect([...asks.keys()]).toEqual(DOORS)
      for (let round = 0; round < ROUNDS; round++)
        for (const [name, ask] of asks) expect(await ask(), `${name}, round ${round}`).toBe(200)
      for (const [name, ask] of asks) expect(await ask(), name).toBe(429)
      expect(await doors.programs.mixer(described)).toBe(200)
    } finally {
      await doors.stop()
      await rm(config, { recursive: true })
    }
  })
})
