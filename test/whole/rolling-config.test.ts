// A config change that reaches nodes and workers one after the other, in whichever order: each record becomes what the rules
// of its node made of it when it was accepted, once.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { startHttpBackend } from '../helpers/http-backend.ts'
import { startRedis } from '../helpers/redis.ts'
import { type Intermix, startIntermix } from './intermix.ts'

/** A config that sends the id of each record, with the version of the config, to a handler of that version. */
const configOf = (version: string, url: string) => `
apiVersion: intermix.dev/v1
kind: attributemanifest
metadata: {name: words}
spec: {attributes: {request.id: {valueType: STRING}}}
---
apiVersion: intermix.dev/v1
kind: handler
metadata: {name: to-${version}}
spec: {adapter: http, params: {url: "${url}/${version}"}}
---
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: all}
spec:
  actions:
    - handler: to-${version}
      instances: [{template: logentry, params: {variables: {id: request.id, version: '"${version}"'}}}]
`

interface Part {
  readonly process: Intermix
  readonly folder: string
}

interface Seen {
  readonly path: string
  readonly version: string
}

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function startWorld() {
  const seen = new Map<string, Seen[]>()
  const batches = new Set<string>()
  const backend = await startHttpBackend(({ body, path }) => {
    const { batchId, instances } = JSON.parse(body) as {
      batchId: string
      instances: { fields: { variables: { id: string; version: string } } }[]
    }
    if (!batches.has(batchId)) {
      for (const { fields } of instances) {
        const { id, version } = fields.variables
        seen.set(id, [...(seen.get(id) ?? []), { path, version }])
      }
    }
    batches.add(batchId)
    return { status: 202 }
  })
  ends.push(() => backend.close())
  const redis = await startRedis()
  ends.push(() => redis.stop())
  const root = mkdtempSync(join(tmpdir(), 'intermix-rolling-'))
  ends.push(() => rmSync(root, { recursive: true }))
  const write = (folder: string, version: string) =>
    writeFileSync(join(folder, 'config.yaml'), configOf(version, backend.url))
  const start = async (role: 'node' | 'worker', nodeId: string): Promise<Part> => {
    const folder = join(root, nodeId)
    mkdirSync(folder)
    write(folder, 'v1')
    const process = await startIntermix({ role, config: folder, nodeId, flags: ['--redis', redis.url] })
    ends.push(() => process.child.stop())
    return { process, folder }
  }
  const parts = await Promise.all([
    start('node', 'node-1'),
    start('node', 'node-2'),
    start('worker', 'worker-1'),
    start('worker', 'worker-2'),
  ])
  return { seen, parts, write }
}

async function snapshotOf({ process }: Part): Promise<string> {
  const answer = await fetch(`${process.adminUrl}/debug/config`)
  return ((await answer.json()) as { snapshotId: string }).snapshotId
}

/** Gives one process the new config, and waits until it lives by it. */
async function change(part: Part, write: (folder: string, version: string) => void): Promise<void> {
  const before = await snapshotOf(part)
  write(part.folder, 'v2')
  await expect.poll(() => snapshotOf(part)).not.toBe(before)
  await part.process.child.waitForOutput(/the new config is in use/)
}

async function report({ process }: Part, ids: readonly string[]): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${process.httpPort}/v1/report`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ records: ids.map((id) => ({ 'request.id': id })) }),
  })
  expect(answer.status).toBe(202)
}

const ORDERS = {
  'nodes first': [0, 1, 2, 3],
  'workers first': [2, 3, 0, 1],
  'one of each in turn': [0, 2, 3, 1],
}

describe('a config change that rolls over the processes', () => {
  it.each(Object.entries(ORDERS))('makes of each record what its node meant, once: %s', async (_name, order) => {
    const { seen, parts, write } = await startWorld()
    const versions = ['v1', 'v1']
    const meant = new Map<string, string>()
    const send = async (stage: number) => {
      for (let i = 0; i < 40; i++) {
        const node = i % 2
        const ids = Array.from({ length: 5 }, (_, n) => `s${stage}-${i}-${n}`)
        for (const id of ids) meant.set(id, versions[node] ?? '')
        await report(parts[node] as Part, ids)
      }
    }
    await send(0)
    for (const [stage, index] of order.entries()) {
      await change(parts[index] as Part, write)
      if (index < 2) versions[index] = 'v2'
      await send(stage + 1)
    }
    await expect.poll(() => seen.size, { interval: 100 }).toBe(meant.size)
    const wrong = [...meant].filter(([id, version]) => {
      const [first, ...more] = seen.get(id) ?? []
      return more.length > 0 || first?.version !== version || first.path !== `/${version}`
    })
    expect(wrong).toEqual([])
    const ledger = () => fetch(`${parts[0].process.adminUrl}/debug/ledger`).then((answer) => answer.json())
    const servedBy = expect.arrayContaining(['worker-1', 'worker-2'])
    await expect.poll(ledger).toMatchObject({
      queues: expect.arrayContaining([
        expect.objectContaining({ about: expect.stringMatching(/^reports under the rules [0-9a-f]{12}$/), servedBy }),
        expect.objectContaining({ about: 'handler to-v2.handler.istio-system', servedBy }),
      ]),
      findings: [],
    })
  })
})
