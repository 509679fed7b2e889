// The command as an operator meets it: the first run, its end, and mistakes in its flags.
import { afterEach, describe, expect, it } from 'vitest'
import { startRedis } from '../helpers/redis.ts'
import { freePorts } from '../helpers/ports.ts'
import type { Child } from '../helpers/process.ts'
import { type Intermix, startCommand, startIntermix } from './intermix.ts'

const QUICKSTART = 'examples/quickstart'
const started: Child[] = []
afterEach(async () => {
  for (const child of started.splice(0)) await child.stop()
})

async function quickstart(flags: readonly string[] = []): Promise<Intermix> {
  const running = await startIntermix({ role: 'all', config: QUICKSTART, nodeId: 'first', flags })
  started.push(running.child)
  return running
}

async function command(args: readonly string[]): Promise<Child> {
  const child = await startCommand(args)
  started.push(child)
  return child
}

describe('the first run', () => {
  it('starts with the quickstart and nothing else, and ends with 0 on SIGTERM', async () => {
    const { child, adminUrl } = await quickstart()
    expect((await fetch(`${adminUrl}/healthz`)).status).toBe(200)
    expect(await (await fetch(`${adminUrl}/metrics`)).text()).toContain('intermix_')
    child.signal('SIGTERM')
    expect(await child.exited).toEqual({ code: 0, signal: undefined })
  })

  it('works without any Redis', async () => {
    const { child, adminUrl } = await quickstart(['--redis', 'none'])
    expect((await fetch(`${adminUrl}/readyz`)).status).toBe(200)
    child.signal('SIGINT')
    expect((await child.exited).code).toBe(0)
  })

  it('says so when its Redis is away, serves without it, and does not wait for it at the end', async () => {
    const [port] = await freePorts(1)
    const { child, adminUrl, httpPort } = await quickstart([
      '--redis',
      `redis://127.0.0.1:${port}`,
      '--shutdown-timeout',
      '60s',
    ])
    await child.waitForOutput(/Redis is down: going on without it/)
    expect(await (await fetch(`${adminUrl}/readyz`)).text()).toContain(
      '"detail":"down: going on without it: nothing listens at 127.0.0.1:',
    )
    const body = JSON.stringify({ attributes: { 'request.path': '/admin' } })
    const answer = await fetch(`http://127.0.0.1:${httpPort}/v1/check`, { method: 'POST', body })
    expect(await answer.json()).toMatchObject({ status: { code: 7 } })
    const before = performance.now()
    child.signal('SIGTERM')
    expect((await child.exited).code).toBe(0)
    expect(performance.now() - before).toBeLessThan(20_000)
  })

  it('limits the first request that it takes, whether or not Redis answers by then', async () => {
    const redis = await startRedis()
    try {
      for (const isPaused of [false, true]) {
        const [port = 0] = await freePorts(1)
        const address = `127.0.0.1:${port}`
        const ports = ['--grpc-address', '127.0.0.1:0', '--admin-address', '127.0.0.1:0', '--http-address', address]
        if (isPaused) redis.pause()
        const child = await command(['node', '--config', QUICKSTART, '--redis', redis.url, ...ports])
        await child.waitForPort(port)
        const ask = async () => {
          const attributes = { 'request.path': '/', 'request.headers': { 'x-api-key': `first ${isPaused}` } }
          const answer = await fetch(`http://${address}/v1/check`, {
            method: 'POST',
            body: JSON.stringify({ attributes }),
          })
          const { status, responseHeaders = [] } = (await answer.json()) as {
            status: { code: number }
            responseHeaders?: { name: string; value: string }[]
          }
          return [status.code, responseHeaders.find(({ name }) => name.toLowerCase() === 'ratelimit')?.value ?? '']
        }
        expect(await ask()).toEqual([0, expect.stringContaining('r=99')])
        if (isPaused) redis.resume()
        child.signal('SIGTERM')
        expect((await child.exited).code).toBe(0)
      }
    } finally {
      redis.resume()
      await redis.stop()
    }
  })

  it('logs what ioredis writes to the console, as JSON lines like all others', async () => {
    // A Redis without HELLO, as before version 6: the password then goes by AUTH, which one without a password refuses.
    const redis = await startRedis({ args: ['--rename-command', 'HELLO', ''] })
    const url = redis.url.replace('redis://', 'redis://:secret@')
    const { child } = await quickstart(['--redis', url, '--log-format', 'json'])
    await child.waitForOutput(/"level":"warn".*does not require a password/)
    child.signal('SIGTERM')
    await child.exited
    await redis.stop()
    const lines = child.output().trim().split('\n')
    expect(lines.filter((line) => !line.startsWith('{'))).toEqual([])
  })

  it('ends at once on a second signal', async () => {
    const { child } = await quickstart(['--redis', 'none', '--lame-duck', '10m'])
    child.signal('SIGTERM')
    await child.waitForOutput(/not ready any more/)
    expect(child.running()).toBe(true)
    // The same signal at once may be one that was sent to a process and to its group.
    child.signal('SIGINT')
    expect((await child.exited).code).toBe(130)
    expect(child.output()).toContain('second signal')
  })

  it('serves on while it is a lame duck, and is not ready', async () => {
    const { child, adminUrl, httpPort } = await quickstart(['--redis', 'none', '--lame-duck', '10m'])
    child.signal('SIGINT')
    await child.waitForOutput(/not ready any more/)
    expect((await fetch(`${adminUrl}/readyz`)).status).toBe(503)
    const body = JSON.stringify({ attributes: { 'request.path': '/admin' } })
    const answer = await fetch(`http://127.0.0.1:${httpPort}/v1/check`, { method: 'POST', body })
    expect(await answer.json()).toMatchObject({ status: { code: 7 } })
  })
})

describe('mistakes on the command line', () => {
  it('are all named at once, with what would be right', async () => {
    const child = await command(['node', '--confg', 'x', '--grpc-address', 'nowhere', '--redis', 'none'])
    expect((await child.exited).code).toBe(2)
    expect(child.output()).toContain('did you mean --config')
    expect(child.output()).toContain('--grpc-address')
  })

  it('include a config folder that does not exist, and a port that is taken', async () => {
    const missing = await command(['all', '--config', 'no/such/folder', '--redis', 'none'])
    expect((await missing.exited).code).not.toBe(0)
    expect(missing.output()).toContain('no/such/folder')

    const { grpcPort } = await quickstart(['--redis', 'none'])
    const [http, admin, prometheus] = await freePorts(3)
    const addresses = { grpc: grpcPort, http, admin, prometheus }
    const flags = Object.entries(addresses).map(([name, port]) => `--${name}-address=127.0.0.1:${port}`)
    const taken = await command(['all', '--config', QUICKSTART, '--redis', 'none', ...flags])
    expect((await taken.exited).code).not.toBe(0)
    expect(taken.output()).toContain(String(grpcPort))
  })
})
