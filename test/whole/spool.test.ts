// What a node has acknowledged while Redis is away outlives the node, however that ends.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import type { Role } from '../../src/settings/setting-spec.ts'
import { type Intermix, startIntermix } from './intermix.ts'

const CONFIG = `
apiVersion: config.istio.io/v1alpha2
kind: attributemanifest
metadata: { name: proxy, namespace: istio-system }
spec: { attributes: { request.path: { valueType: STRING } } }
---
apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: { name: lines, namespace: istio-system }
spec: { compiledAdapter: stdio, params: { logStream: FILE, outputPath: OUT } }
---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: { name: line, namespace: istio-system }
spec: { compiledTemplate: logentry, params: { severity: '"info"', variables: { path: request.path } } }
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: all, namespace: istio-system }
spec: { actions: [{ handler: lines, instances: [line] }] }
`

let directory: string
let redis: RedisServer
const running: Intermix[] = []
const mounts: string[] = []

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'intermix-spool-'))
  mkdirSync(join(directory, 'config'))
  writeFileSync(join(directory, 'config', 'all.yaml'), CONFIG.replace('OUT', join(directory, 'out')))
  redis = await startRedis()
})

afterEach(async () => {
  redis.resume()
  for (const { child } of running.splice(0)) await child.kill()
  await redis.stop()
  for (const mount of mounts.splice(0)) execFileSync('umount', [mount])
  rmSync(directory, { recursive: true, force: true })
})

async function start(role: Exclude<Role, 'sidecar'>, ...flags: readonly string[]): Promise<Intermix> {
  const options = { role, config: join(directory, 'config'), nodeId: `spool-${role}` }
  // `all` looks for a Redis of its own.
  const given = role === 'all' ? [] : ['--redis', redis.url]
  const started = await startIntermix({ ...options, flags: [...given, ...flags] })
  running.push(started)
  return started
}

let serial = 0

/** Sends a report of some records. @returns their names where the node accepted them, and its status. */
async function report({ httpPort }: Intermix, records = 5, filler = '') {
  const names = Array.from({ length: records }, () => `/r-${serial++}-`)
  const body = JSON.stringify({ records: names.map((name) => ({ 'request.path': name + filler })) })
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(`http://127.0.0.1:${httpPort}/v1/report`, { method: 'POST', headers, body })
  const text = await answer.text()
  return { status: answer.status, names: answer.status === 202 ? names : [], isShed: text.includes('"OVERLOADED"') }
}

/** As `report`; a node of a busy machine, which takes none for a moment, is asked again. */
async function reportInTime(node: Intermix) {
  let answer = await report(node)
  while (answer.isShed) answer = await report(node)
  return answer
}

/** What has arrived, each as often as it has. */
function arrived(): string[] {
  const path = join(directory, 'out')
  return existsSync(path) ? [...readFileSync(path, 'utf8').matchAll(/\/r-\d+-/g)].map(([name]) => name) : []
}

/** Waits until so many have arrived, or more. */
async function untilArrived(names: readonly string[]): Promise<void> {
  const missing = () => {
    const here = new Set(arrived())
    return names.filter((name) => !here.has(name))
  }
  await expect.poll(() => missing().slice(0, 5), { interval: 200 }).toEqual([])
}

describe('a node whose Redis does not answer', () => {
  it('loses nothing that it acknowledged as queued when it is killed, again and again', async () => {
    const flags = ['--spool-dir', join(directory, 'spool')]
    const names: string[] = []
    for (let life = 0; life < 3; life++) {
      const node = await start('node', ...flags)
      if (life === 0) names.push(...(await reportInTime(node)).names)
      redis.pause()
      const answers = await Promise.all(Array.from({ length: 30 }, () => reportInTime(node)))
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]))
      names.push(...answers.flatMap((answer) => answer.names))
      await node.child.kill()
      redis.resume()
    }
    await start('worker')
    await start('node', ...flags)
    await untilArrived(names)
    // An add that had no answer may have arrived: the same ids keep it from being delivered twice.
    expect(arrived().toSorted()).toEqual(names.toSorted())
  })

  it('ends well when it has written down everything, and says how much is where', async () => {
    const flags = ['--spool-dir', join(directory, 'spool'), '--report-ack', 'memory', '--shutdown-timeout', '5s']
    const node = await start('node', ...flags)
    await redis.kill()
    const names = (await Promise.all(Array.from({ length: 40 }, () => reportInTime(node)))).flatMap(
      (answer) => answer.names,
    )
    expect(names).toHaveLength(200)
    expect(await node.child.stop(20_000)).toMatchObject({ code: 0 })
    expect(node.child.output()).toMatch(/"stored":200,.*reports wait in the spool directory/)
    await redis.restart()
    await start('worker')
    await start('node', ...flags)
    await untilArrived(names)
    expect(arrived()).toHaveLength(200)
  })

  it('refuses what it is asked to have queued without a disk, and ends badly when it loses what it took', async () => {
    const node = await start('node', '--shutdown-timeout', '2s', '--report-ack', 'memory')
    const strict = await start('node', '--node-id', 'strict', '--shutdown-timeout', '2s')
    await redis.kill()
    await expect.poll(async () => (await report(strict)).status).toBe(503)
    expect((await report(node)).status).toBe(202)
    expect(await node.child.stop(20_000)).toMatchObject({ code: 1 })
    expect(node.child.output()).toMatch(/"lost":5,.*reports were lost at the end/)
    expect(await strict.child.stop(20_000)).toMatchObject({ code: 0 })
  })

  it('refuses and says why when its disk is full, and knows at its end what it has lost', async (context) => {
    const disk = join(directory, 'disk')
    mkdirSync(disk)
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=600k', 'tmpfs', disk], { stdio: 'ignore' })
    } catch {
      return context.skip('a file system of its own cannot be mounted here')
    }
    mounts.push(disk)
    const bounds = ['--spool-max-bytes', '1MiB', '--shutdown-timeout', '4s', '--report-ack', 'memory']
    const node = await start('node', '--spool-dir', join(disk, 'spool'), ...bounds)
    await redis.kill()
    const filler = 'x'.repeat(5_000)
    let accepted = 0
    await expect
      .poll(
        async () => {
          const { status, names } = await report(node, 5, filler)
          accepted += names.length
          return status
        },
        { interval: 1 },
      )
      .toBe(503)
    expect(node.child.output()).toMatch(/ENOSPC.*reports cannot be written to the spool directory/)
    expect(await node.child.stop(20_000)).toMatchObject({ code: 1 })
    const [, stored, lost] =
      /"stored":(\d+),.*"lost":(\d+),.*reports were lost at the end/.exec(node.child.output()) ?? []
    expect(Number(stored) + Number(lost)).toBe(accepted)
    expect(Number(stored)).toBeGreaterThan(0)
    await redis.restart()
    await start('worker')
    await start('node', '--spool-dir', join(disk, 'spool'))
    await expect.poll(() => arrived().length).toBe(Number(stored))
  })
})

describe('a process with a private Redis', () => {
  it('delivers what waits there before both end', async () => {
    const all = await start('all')
    const answers = await Promise.all(Array.from({ length: 40 }, () => report(all, 50)))
    expect(await all.child.stop(20_000)).toMatchObject({ code: 0 })
    expect(arrived().toSorted()).toEqual(answers.flatMap(({ names }) => names).toSorted())
    expect(all.child.output()).not.toContain('reports end with the private Redis')
  })

  it('says what it could not deliver, and goes without it', async () => {
    const away = CONFIG.replace('compiledAdapter: stdio', 'compiledAdapter: http').replace(
      /params: \{ logStream.*?\} \}/,
      "params: { url: 'http://127.0.0.1:1' } }",
    )
    writeFileSync(join(directory, 'config', 'all.yaml'), away)
    const all = await start('all', '--shutdown-timeout', '2s')
    await Promise.all(Array.from({ length: 4 }, () => report(all, 50)))
    expect(await all.child.stop(20_000)).toMatchObject({ code: 0 })
    expect(all.child.output()).toMatch(/"records":0,"instances":200,.*reports end with the private Redis/)
  })
})
