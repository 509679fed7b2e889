// A template that the core has never heard of: brought by an adapter of others, configured, asked and reported to.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adapterConformance } from '../../src/adapter-kit/index.ts'
import border from '../../examples/adapters/border.ts'
import { type Intermix, startIntermix } from './intermix.ts'

const MODULE = 'examples/adapters/border.ts'

const config = (book: string) => `
apiVersion: intermix.dev/v1
kind: attributemanifest
metadata: {name: words}
spec:
  attributes:
    user.id: {valueType: STRING}
    user.days: {valueType: INT64}
    user.name: {valueType: STRING}
---
apiVersion: intermix.dev/v1
kind: handler
metadata: {name: border}
spec: {adapter: border, params: {book: ${JSON.stringify(book)}, shortest_stay: 3}}
---
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: names}
spec:
  actions:
    - handler: border
      instances: [{template: registry, params: {id: user.id}, attributeBindings: {user.name: $out.full_name}}]
---
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: visas}
spec:
  actions:
    - handler: border
      instances:
        - {template: passport, params: {holder: user.name, visa: {country: '"FR"', days: user.days}}}
        - {name: bags, template: luggage, params: {holder: user.id}}
        - {template: stamp, params: {holder: user.name, notes: {days: user.days}}}
`

let directory: string
let book: string
let node: Intermix

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'intermix-border-'))
  book = join(directory, 'book')
  await writeFile(join(directory, 'policy.yaml'), config(book))
  const flags = ['--redis', 'none', '--adapters', MODULE]
  node = await startIntermix({ role: 'all', config: directory, nodeId: 'border', flags })
})

afterAll(async () => {
  await node?.child.stop()
  await rm(directory, { recursive: true, force: true })
})

async function post(path: string, body: object): Promise<{ status: number; answer: unknown }> {
  const headers = { 'content-type': 'application/json' }
  const url = `http://127.0.0.1:${node.httpPort}${path}`
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  return { status: response.status, answer: await response.json() }
}

describe('an adapter with templates of its own', () => {
  it.each(adapterConformance(border))('$name', ({ run }) => run())

  it('answers checks, with attributes that it generated and quotas that it granted', async () => {
    const attributes = { 'user.id': 'ada', 'user.days': 3 }
    expect(await post('/v1/check', { attributes, quotas: { bags: { amount: 2 } } })).toMatchObject({
      status: 200,
      answer: { status: { code: 0 }, quotas: { bags: { granted: 2 } } },
    })
    expect((await post('/v1/check', { attributes: { ...attributes, 'user.days': 2 } })).answer).toMatchObject({
      status: { code: 7, message: expect.stringContaining('CITIZEN ADA has no visa') },
    })
  })

  it('gets reports', async () => {
    const records = [{ 'user.id': 'eve', 'user.days': 1 }]
    expect((await post('/v1/report', { records })).status).toBe(202)
    await expect.poll(() => readFile(book, 'utf8').catch(() => '')).toBe('citizen EVE\n')
  })
})
