// A node of several processes, with real ones: they share its ports and are one node to whoever asks, whatever becomes of one
// of them.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { credentials, makeGenericClientConstructor } from '@grpc/grpc-js'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { freePorts } from '../helpers/ports.ts'
import type { Child } from '../helpers/process.ts'
import { startRedis } from '../helpers/redis.ts'
import { findTool } from '../helpers/tools.ts'
import { type Intermix, ROOT, startCommand, startIntermix, sumOfSeries } from './intermix.ts'

const QUICKSTART = 'examples/quickstart'
const ADDRESSES = ['grpc', 'http', 'admin'].map((name) => `--${name}-address=127.0.0.1:0`)
const started: Child[] = []
afterEach(async () => {
  for (const child of started.splice(0)) await child.stop()
})

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'intermix-processes-'))
  onTestFinished(() => rmSync(path, { recursive: true }))
  return path
}

async function start(flags: readonly string[], config = QUICKSTART, role: 'node' | 'all' = 'node'): Promise<Intermix> {
  const running = await startIntermix({ role, config, nodeId: 'n', flags: ['--processes', '2', ...flags] })
  started.push(running.child)
  return running
}

async function command(args: readonly string[]): Promise<Child> {
  const child = await startCommand(args)
  started.push(child)
  return child
}

interface Checked {
  readonly tier: string
  readonly status: { readonly code: number }
}

/** A check on a connection of its own, unless `agent` holds one. */
async function check(node: Intermix, path = '/admin', agent: Agent | false = false): Promise<Checked> {
  const asked = request({ port: node.httpPort, path: '/v1/check', method: 'POST', agent, timeout: 5_000 })
  asked.on('timeout', () => asked.destroy(new Error('no answer')))
  asked.end(JSON.stringify({ attributes: { 'request.path': path } }))
  const [answer] = (await once(asked, 'response')) as [AsyncIterable<Buffer>]
  const parts: Buffer[] = []
  for await (const part of answer) parts.push(part)
  return JSON.parse(Buffer.concat(parts).toString()) as Checked
}

const metrics = async ({ adminUrl }: Intermix) => await (await fetch(`${adminUrl}/metrics`)).text()

interface Views<T> {
  readonly processes: Readonly<Record<string, T>>
  readonly silent: readonly string[]
}

async function view<T>({ adminUrl }: Intermix, name: string): Promise<Views<T>> {
  return (await (await fetch(`${adminUrl}/debug/${name}`)).json()) as Views<T>
}

/** What the node says of a process: its state and pid. */
async function stateOf({ adminUrl }: Intermix, number: number): Promise<{ state: string; pid: number }> {
  const text = await (await fetch(`${adminUrl}/readyz`)).text()
  const [, state = '', pid = '0'] =
    new RegExp(`"process ${number}","ok":true,"detail":"(\\w+)(?:, pid (\\d+))?`).exec(text) ?? []
  return { state, pid: Number(pid) }
}

/** Checks until every process holds an answer. */
async function warm(node: Intermix): Promise<void> {
  await expect
    .poll(async () => {
      await check(node)
      const views = await view<{ answers: { entries: number } }>(node, 'cache')
      return Object.values(views.processes).map(({ answers }) => Math.min(1, answers.entries))
    })
    .toEqual([1, 1])
}

/** A connection to each process: one after the other, they are handed out in turn. */
async function connections(node: Intermix): Promise<Agent[]> {
  const agents = [1, 2].map(() => new Agent({ keepAlive: true, maxSockets: 1 }))
  for (const agent of agents) await check(node, '/admin', agent)
  return agents
}

async function revokeAll({ adminUrl }: Intermix): Promise<Response> {
  const headers = { 'content-type': 'application/json' }
  return await fetch(`${adminUrl}/v1/revocations`, { method: 'POST', headers, body: '{"kind":"all"}' })
}

/** Whether it runs; one that has ended and was not taken note of by its new parent yet does not. */
function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !existsSync(`/proc/${pid}/stat`) || !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

describe('a node of two processes', () => {
  let node: Intermix
  beforeAll(async () => {
    node = await start(['--redis', 'none', '--transport', 'native'])
    started.pop()
  })
  afterAll(async () => void (await node?.child.stop()))

  it('says once that it has started, with the process in every line', () => {
    const lines = node.child
      .output()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { msg: string; process: unknown; node: string })
    expect(lines.filter(({ msg }) => msg === 'started')).toHaveLength(1)
    const names = new Map(lines.map((line) => [line.process, line.node]))
    expect(names).toEqual(
      new Map<unknown, string>([
        ['parent', 'n'],
        [1, 'n-1'],
        [2, 'n-2'],
      ]),
    )
  })

  it('answers from both on one port, and one scrape counts both', async () => {
    const before = sumOfSeries(await metrics(node), 'intermix_checks_total')
    await warm(node)
    const asked = 10
    const reached = sumOfSeries(await metrics(node), 'intermix_checks_total')
    for (let i = 0; i < asked; i++) expect((await check(node)).status.code).toBe(7)
    const text = await metrics(node)
    expect(reached).toBeGreaterThan(before)
    expect(sumOfSeries(text, 'intermix_checks_total')).toBe(reached + asked)
    expect(text).toMatch(/^intermix_check_duration_seconds_count\{tier="local"\} \d+$/m)
    expect(text).toMatch(/^intermix_node_processes_measured 2$/m)
    expect(text).toMatch(/^intermix_node_processes\{state="serving"\} 2$/m)
    expect(text).toMatch(/^intermix_revocations_in_touch 1$/m)
    for (const name of ['parent', '1', '2']) {
      expect(text).toContain(`process_resident_memory_bytes{process="${name}"} `)
      expect(text).toContain(`nodejs_eventloop_lag_p99_seconds{process="${name}"} `)
    }
  })

  it('serves gRPC on one port', async () => {
    const Health = makeGenericClientConstructor(
      {
        check: {
          path: '/grpc.health.v1.Health/Check',
          requestStream: false,
          responseStream: false,
          requestSerialize: (bytes: Buffer) => bytes,
          requestDeserialize: (bytes: Buffer) => bytes,
          responseSerialize: (bytes: Buffer) => bytes,
          responseDeserialize: (bytes: Buffer) => bytes,
        },
      },
      'Health',
    )
    for (let i = 0; i < 4; i++) {
      const client = new Health(`127.0.0.1:${node.grpcPort}`, credentials.createInsecure(), {
        'grpc.use_local_subchannel_pool': 1,
      })
      const answer = await new Promise<Buffer>((resolve, reject) => {
        const call = client['check'] as (request: Buffer, done: (error: Error | null, bytes: Buffer) => void) => void
        call.call(client, Buffer.alloc(0), (error, bytes) => (error === null ? resolve(bytes) : reject(error)))
      })
      client.close()
      expect([...answer]).toEqual([8, 1])
    }
  })

  it('revokes in all of them before it says so, and names the one that does not answer', async () => {
    const agents = await connections(node)
    onTestFinished(() => agents.forEach((agent) => agent.destroy()))
    for (const agent of agents) {
      await check(node, '/admin', agent)
      expect((await check(node, '/admin', agent)).tier).toBe('local')
    }
    const answer = await revokeAll(node)
    expect(answer.status).toBe(200)
    const receipt = (await answer.json()) as { confirmed: string[] }
    expect(receipt.confirmed.toSorted()).toEqual(['n-1', 'n-2'])
    for (const agent of agents) expect((await check(node, '/admin', agent)).tier).toBe('backend')
    const { pid } = await stateOf(node, 2)
    process.kill(pid, 'SIGSTOP')
    try {
      await expect.poll(async () => (await stateOf(node, 2)).state).toBe('silent')
      const partly = await revokeAll(node)
      expect(partly.status).toBe(202)
      expect(await partly.json()).toMatchObject({ confirmed: ['n-1'], unconfirmed: ['n-2'] })
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await expect.poll(async () => (await stateOf(node, 2)).state).toBe('serving')
  })

  it('explains from any of them, and changes the level of all logs', async () => {
    const headers = { 'content-type': 'application/json' }
    const body = JSON.stringify({ attributes: { 'request.path': '/admin' } })
    const explained = await fetch(`${node.adminUrl}/v1/explain`, { method: 'POST', headers, body })
    expect(explained.status).toBe(200)
    expect(await explained.text()).toContain('deny-admin')
    await fetch(`${node.adminUrl}/debug/log-level`, { method: 'PUT', body: 'debug' })
    const agents = await connections(node)
    agents.forEach((agent) => agent.destroy())
    for (const number of [1, 2])
      await node.child.waitForOutput(new RegExp(`"level":"debug"[^\\n]*"process":${number},`))
    await fetch(`${node.adminUrl}/debug/log-level`, { method: 'PUT', body: 'info' })
  })

  it('answers a scrape while one hangs: counts do not fall, and it says who was measured', async () => {
    await warm(node)
    const before = sumOfSeries(await metrics(node), 'intermix_checks_total')
    const { pid } = await stateOf(node, 2)
    process.kill(pid, 'SIGSTOP')
    try {
      await expect.poll(async () => (await stateOf(node, 2)).state).toBe('silent')
      const text = await metrics(node)
      expect(text).toMatch(/^intermix_node_processes_measured 1$/m)
      expect(text).toMatch(/^intermix_node_processes\{state="silent"\} 1$/m)
      expect(text).not.toContain('process_resident_memory_bytes{process="2"}')
      expect(sumOfSeries(text, 'intermix_checks_total')).toBe(before)
      expect((await fetch(`${node.adminUrl}/readyz`)).status).toBe(200)
      expect((await view(node, 'config')).silent).toEqual(['n-2'])
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await expect.poll(async () => (await stateOf(node, 2)).state).toBe('serving')
  })

  it('starts one anew that was killed, while the other serves on and no count falls', async () => {
    await warm(node)
    const before = sumOfSeries(await metrics(node), 'intermix_checks_total')
    const { pid } = await stateOf(node, 1)
    process.kill(pid, 'SIGKILL')
    await node.child.waitForOutput(/"reason":"crash","signal":"SIGKILL".*a process of this node has ended/)
    let answered = 0
    await expect
      .poll(async () => {
        await check(node)
        answered++
        const now = await stateOf(node, 1)
        return now.state === 'serving' && now.pid !== pid
      })
      .toBe(true)
    const text = await metrics(node)
    expect(answered).toBeGreaterThan(0)
    expect(sumOfSeries(text, 'intermix_checks_total')).toBe(before + answered)
    expect(text).toMatch(/^intermix_node_process_ends_total\{reason="crash"\} 1$/m)
    await warm(node)
  })

  it('finishes in all of them on SIGTERM and ends with 0', async () => {
    const pids = [(await stateOf(node, 1)).pid, (await stateOf(node, 2)).pid]
    node.child.signal('SIGTERM')
    expect(await node.child.exited).toEqual({ code: 0, signal: undefined })
    expect(pids.map(alive)).toEqual([false, false])
    expect(node.child.output().match(/"msg":"stopped"/g)).toHaveLength(3)
  })
})

describe('a node of two processes with Redis', () => {
  it('revokes by the log that all nodes follow, in both processes', async () => {
    const redis = await startRedis()
    onTestFinished(async () => await redis.stop())
    const node = await start(['--redis', redis.url])
    await expect.poll(async () => await metrics(node)).toMatch(/^intermix_revocations_in_touch 1$/m)
    const agents = await connections(node)
    onTestFinished(() => agents.forEach((agent) => agent.destroy()))
    for (const agent of agents) expect((await check(node, '/admin', agent)).tier).toBe('local')
    const answer = await revokeAll(node)
    expect(answer.status).toBe(200)
    const receipt = (await answer.json()) as { confirmed: string[] }
    expect(receipt.confirmed.toSorted()).toEqual(['n-1', 'n-2'])
    for (const agent of agents) expect((await check(node, '/admin', agent)).tier).toBe('backend')
  })

  it('has one private Redis for all', async ({ skip }) => {
    if (findTool('redis-server') === undefined) skip('no redis-server on the path')
    const node = await start([], QUICKSTART, 'all')
    for (const number of [1, 2])
      await node.child.waitForOutput(new RegExp(`"process":${number},[^\\n]*"redis":"queue"[^\\n]*Redis is up`))
    const output = node.child.output()
    const [port] = /private redis-server on 127\.0\.0\.1:(\d+)/.exec(output)?.slice(1) ?? []
    const used = [...output.matchAll(/"url":"redis:\/\/:\*\*\*@127\.0\.0\.1:(\d+)"/g)].map(([, each]) => each)
    expect(new Set(used)).toEqual(new Set([port]))
  })
})

describe('the config of a node of two processes', () => {
  it('is the same in both, a moment after it changed', async () => {
    const config = folder()
    cpSync(join(ROOT, QUICKSTART), config, { recursive: true })
    const node = await start(['--redis', 'none'], config)
    const served = async () => {
      const { processes } = await view<{ snapshotId: string }>(node, 'config')
      return [...new Set(Object.values(processes).map(({ snapshotId }) => snapshotId))]
    }
    const before = await served()
    expect(before).toHaveLength(1)
    const file = join(config, 'deny-admin.yaml')
    writeFileSync(file, readFileSync(file, 'utf8').replace('the admin pages are closed', 'not today'))
    await expect.poll(served).not.toContain(before[0])
    expect(await served()).toHaveLength(1)
    await expect.poll(async () => await metrics(node)).toMatch(/^intermix_node_configs 1$/m)
  })

  it('is refused where it counts quotas in each process, once and with what to do', async () => {
    const config = folder()
    cpSync(join(ROOT, QUICKSTART), config, { recursive: true })
    appendFileSync(
      join(config, 'quota.yaml'),
      [
        'apiVersion: intermix.dev/v1',
        'kind: rule',
        'metadata: {name: quota}',
        'spec:',
        '  actions:',
        '    - handler: {adapter: memquota, params: {quotas: [{name: calls, maxAmount: 5, validDuration: 1s}]}}',
        '      instances: [{name: calls, template: quota, params: {dimensions: {}}}]',
      ].join('\n'),
    )
    const child = await command(['node', '--config', config, '--processes', '2', '--redis', 'none', ...ADDRESSES])
    expect((await child.exited).code).toBe(1)
    const told = child.output().match(/quota\.yaml:\d+:\d+: error: .*memquota counts in each process/g)
    expect(told).toHaveLength(1)
    expect(child.output()).toContain('use redisquota, or --processes 1')
    const validated = await command(['validate', config, '--processes', '2'])
    expect((await validated.exited).code).toBe(1)
    const one = await command(['validate', config])
    expect((await one.exited).code).toBe(0)
  })

  it('ends the node with a clear message where no process can start any more', async () => {
    const config = folder()
    cpSync(join(ROOT, QUICKSTART), config, { recursive: true })
    const node = await start(['--redis', 'none'], config)
    writeFileSync(join(config, 'deny-admin.yaml'), 'kind: poison')
    const pids = [(await stateOf(node, 1)).pid, (await stateOf(node, 2)).pid]
    for (const pid of pids) process.kill(pid, 'SIGKILL')
    expect((await node.child.exited).code).toBe(1)
    const output = node.child.output()
    expect(output).toMatch(
      /intermix node: every process of this node ends again and again; the last one: the config in/,
    )
    // Each was tried a few times, with longer and longer pauses.
    for (const number of [1, 2]) {
      const ends = output.match(new RegExp(`"of":${number},[^\\n]*has ended, and will be started again`, 'g')) ?? []
      expect(ends.length).toBeGreaterThanOrEqual(5)
      expect(ends.length).toBeLessThan(8)
    }
    expect(output).toMatch(/"againMs":4000/)
  })
})

describe('reports of a node of two processes', () => {
  it('are in one answer, whichever process is asked', async () => {
    const node = await start(['--redis', 'none'], QUICKSTART, 'all')
    const report = { 'request.path': '/books', 'response.code': 200, 'destination.service.name': 'books' }
    const reporting = async () => {
      const agent = new Agent({ keepAlive: false })
      const sent = request({ port: node.httpPort, path: '/v1/report', method: 'POST', agent })
      sent.end(JSON.stringify({ records: [report] }))
      const [answer] = (await once(sent, 'response')) as [{ statusCode: number; resume(): void }]
      answer.resume()
      return answer.statusCode
    }
    const total = 12
    for (let i = 0; i < total; i++) expect(await reporting()).toBe(202)
    for (let i = 0; i < 4; i++) {
      const scraped = async () => {
        const answer = request({ port: Number(new URL(node.prometheusUrl).port), path: '/metrics', agent: false })
        answer.end()
        const [page] = (await once(answer, 'response')) as [AsyncIterable<Buffer>]
        let text = ''
        for await (const part of page) text += part.toString()
        return [...text.matchAll(/^(\w*requests?\w*total|\w*requestcount\w*)\{.*worker="(\d)"\} (\d+)$/gm)]
      }
      await expect
        .poll(async () => (await scraped()).reduce((sum, [, , , count]) => sum + Number(count), 0))
        .toBe(total)
      expect(new Set((await scraped()).map(([, , worker]) => worker))).toEqual(new Set(['0', '1']))
    }
  })
})

describe('a start of two processes', () => {
  it('that cannot listen says so once, as one process does', async () => {
    const [port = 0] = await freePorts(1)
    const [other] = ADDRESSES.filter((flag) => flag.startsWith('--http'))
    const blocker = await command([
      'node',
      '--config',
      QUICKSTART,
      '--redis',
      'none',
      '--log-format',
      'json',
      ...ADDRESSES,
      `--http-address=127.0.0.1:${port}`,
    ])
    await blocker.waitForOutput(/"started"/)
    const child = await command([
      'node',
      '--config',
      QUICKSTART,
      '--redis',
      'none',
      '--processes',
      '2',
      ...ADDRESSES.filter((flag) => flag !== other),
      `--http-address=127.0.0.1:${port}`,
    ])
    expect((await child.exited).code).toBe(1)
    const told = `intermix node: cannot listen on 127.0.0.1:${port}: another process listens there already; give another address with --http-address`
    expect(
      child
        .output()
        .split('\n')
        .filter((line) => line === told),
    ).toHaveLength(1)
    expect(child.output()).not.toContain('started again')
  })
})

describe('signals to a node of two processes', () => {
  it('let one finish that gets one by itself, and end all at once when a second one comes', async () => {
    const node = await start(['--redis', 'none', '--lame-duck', '10m'])
    const { pid } = await stateOf(node, 2)
    process.kill(pid, 'SIGTERM')
    await node.child.waitForOutput(/"process":2,"lameDuckMs":600000/)
    expect((await stateOf(node, 1)).state).toBe('serving')
    expect((await fetch(`${node.adminUrl}/readyz`)).status).toBe(200)
    process.kill(pid, 'SIGINT')
    await node.child.waitForOutput(/"code":130.*a process of this node has ended, and will be started again/)
    await expect.poll(async () => (await stateOf(node, 2)).state).toBe('serving')
    const pids = [(await stateOf(node, 1)).pid, (await stateOf(node, 2)).pid]
    expect(pids).not.toContain(pid)
    node.child.signal('SIGTERM')
    for (const number of [1, 2]) await node.child.waitForOutput(new RegExp(`"process":${number},"lameDuckMs":600000`))
    expect((await fetch(`${node.adminUrl}/readyz`)).status).toBe(503)
    node.child.signal('SIGINT')
    expect((await node.child.exited).code).toBe(130)
    await expect.poll(() => pids.map(alive)).toEqual([false, false])
  })
})

describe('a parent that is killed', () => {
  it('leaves no process behind, and they finish in good order', async () => {
    const args = ['src/main.ts', 'node', '--config', QUICKSTART, '--redis', 'none', '--processes', '2']
    const parent: ChildProcess = spawn(process.execPath, [...args, '--log-format', 'json', ...ADDRESSES], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    parent.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()))
    const closed = once(parent, 'close')
    await expect.poll(() => output).toContain('"msg":"started"')
    parent.kill('SIGKILL')
    // The processes hold its output.
    await closed
    expect(output.match(/"msg":"stopped"/g)).toHaveLength(2)
    expect(output.match(/"cause":"launcher gone"/g)).toHaveLength(2)
  })
})
