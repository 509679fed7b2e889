import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FlakyProxy, startFlakyProxy } from './flaky-proxy.ts'
import { type HttpBackend, startHttpBackend } from './http-backend.ts'

let backend: HttpBackend
let proxy: FlakyProxy
beforeAll(async () => {
  backend = await startHttpBackend()
  proxy = await startFlakyProxy({ host: '127.0.0.1', port: backend.port })
})
afterAll(async () => {
  await proxy.close()
  await backend.close()
})

const ask = async () =>
  await (await fetch(`http://127.0.0.1:${proxy.port}/`, { headers: { connection: 'close' } })).text()

describe('the flaky proxy', () => {
  it('passes bytes, and passes them later with latency', async () => {
    expect(await ask()).toBe('ok')
    proxy.setLatency(60)
    const started = performance.now()
    expect(await ask()).toBe('ok')
    expect(performance.now() - started).toBeGreaterThan(110)
    proxy.setLatency(0)
  })

  it('holds bytes back in a blackhole and lets them through afterwards', async () => {
    const before = backend.count
    proxy.setBlackhole(true)
    const answer = ask()
    await expect.poll(() => proxy.held).toBeGreaterThan(0)
    expect(backend.count).toBe(before)
    proxy.setBlackhole(false)
    expect(await answer).toBe('ok')
  })

  it('resets open connections, refuses, and listens again on the same port', async () => {
    await expect.poll(() => proxy.connections).toBe(0)
    proxy.setBlackhole(true)
    const broken = expect(ask()).rejects.toThrow()
    await expect.poll(() => proxy.connections).toBeGreaterThan(0)
    proxy.reset()
    await broken
    proxy.setBlackhole(false)
    await proxy.refuse()
    await expect(ask()).rejects.toThrow()
    await proxy.listen()
    expect(await ask()).toBe('ok')
  })
})
