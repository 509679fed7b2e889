// A real node whose cache may hold more than its heap: it gives memory back in place of dying of it.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { startIntermix, sumOfSeries } from './intermix.ts'

const HEAP_MIB = 80
/** Half as much again as the heap can hold, beside what a node takes anyway: answers with a header of their own. */
const REQUESTS = 1_500
const PADDING = 'x'.repeat(40_000)

const ends: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

const CONFIG = `
apiVersion: intermix.dev/v1
kind: attributemanifest
metadata: {name: words}
spec: {attributes: {source.principal: {valueType: STRING}, request.path: {valueType: STRING}}}
---
apiVersion: intermix.dev/v1
kind: handler
metadata: {name: known}
spec: {adapter: listchecker, params: {overrides: [nobody], blacklist: true}}
---
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: ask}
spec:
  match: request.path != "/none"
  requestHeaderOperations: [{name: x-user, values: [source.principal]}]
  actions:
    - handler: known
      instances: [{template: listentry, params: {value: source.principal}}]
`

it('outlives a cache that may be larger than its heap', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'intermix-memory-'))
  ends.push(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'config.yaml'), CONFIG)
  const env = { NODE_OPTIONS: `--max-old-space-size=${HEAP_MIB}` }
  const flags = ['--redis', 'none', '--cache-memory', '1GiB']
  const node = await startIntermix({ role: 'node', config: folder, nodeId: 'n1', flags, env })
  ends.push(() => node.child.stop())
  const agent = new Agent({ keepAlive: true, maxSockets: 2 })
  ends.push(async () => agent.destroy())
  let next = 0
  const check = async () => {
    for (let i = next++; i < REQUESTS; i = next++) {
      const attributes = { 'source.principal': `${PADDING}${i}`, 'request.path': '/' }
      expect(await post(agent, node.httpPort, JSON.stringify({ attributes }))).toBe(200)
    }
  }
  await Promise.all([check(), check()])
  const metrics = await (await fetch(`${node.adminUrl}/metrics`)).text()
  expect(sumOfSeries(metrics, 'intermix_cache_memory_steps_total{kind="given_back"}')).toBeGreaterThan(0)
  expect(sumOfSeries(metrics, 'intermix_cache_given_back_bytes')).toBeGreaterThan(0)
  expect(node.child.output()).toMatch(/"level":"warn".*caches may hold more than this process has memory for/)
  expect(node.child.output()).toMatch(/nearly used up: caches give some back/)
})

function post(agent: Agent, port: number, body: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request({ agent, port, method: 'POST', path: '/v1/check' }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode))
    })
    asked.on('error', reject).end(body)
  })
}
