// `intermix cache` against a real node: what its cache was asked, and what it knows of it.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import type { NodeTuning } from '../../src/cli/cache-tables.ts'
import { runCommand } from '../../src/cli/commands.ts'
import { testIo } from '../cli/support.ts'
import { startHttpBackend } from '../helpers/http-backend.ts'
import { startIntermix } from './intermix.ts'

const ends: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

const configOf = (url: string) => `
apiVersion: intermix.dev/v1
kind: attributemanifest
metadata: {name: words}
spec: {attributes: {source.principal: {valueType: STRING}, request.path: {valueType: STRING}}}
---
apiVersion: intermix.dev/v1
kind: handler
metadata: {name: scores}
spec: {adapter: http, costPerCall: 0.5, timeout: 10s, params: {url: "${url}"}}
---
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: ask}
spec:
  match: request.path != "/none"
  actions:
    - handler: scores
      instances: [{template: listentry, params: {value: source.principal}}]
`

it('tells what answers and handlers were asked, what they found and what a miss costs', async () => {
  const backend = await startHttpBackend()
  ends.push(() => backend.close())
  const folder = await mkdtemp(join(tmpdir(), 'intermix-cache-'))
  ends.push(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'config.yaml'), configOf(backend.url))
  const flags = ['--redis', 'none', '--cache-memory', '10MiB', '--check-timeout', '10s']
  const node = await startIntermix({ role: 'node', config: folder, nodeId: 'n1', flags })
  ends.push(() => node.child.stop())
  for (let i = 0; i < 60; i++) {
    const attributes = { 'source.principal': `user-${i % 20}`, 'request.path': '/' }
    const body = JSON.stringify({ attributes })
    const response = await fetch(`http://127.0.0.1:${node.httpPort}/v1/check`, { method: 'POST', body })
    expect(await response.json()).toMatchObject({ status: { code: 0 } })
  }
  const io = testIo()
  expect(await runCommand(['cache', '--json', '--admin', node.adminUrl], io)).toBe(0)
  const { memory } = JSON.parse(io.lines.join('')) as NodeTuning
  expect(memory).toMatchObject({ memoryBytes: 10 * 1024 * 1024, decision: 'unknown' })
  const parts = new Map(memory?.parts.map((part) => [part.name, part]))
  expect(parts.get('answers')?.hitRatio).toBeCloseTo(2 / 3)
  const scores = parts.get('scores.handler.istio-system')
  expect(scores).toMatchObject({ hitRatio: 0, callsPerMiss: 1, costPerCall: 0.5 })
  expect(scores?.missMs).toBeGreaterThan(0)
  expect(scores?.bytes).toBeGreaterThan(20 * 100)
  const text = testIo()
  await runCommand(['cache', '--admin', node.adminUrl], text)
  expect(text.lines.join('\n')).toMatch(/scores\.handler\.istio-system/)
  expect(backend.count).toBe(20)
})
