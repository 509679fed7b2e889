import { getEventListeners } from 'node:events'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { fetchText } from '../../src/adapter-kit/fetch-text.ts'
import { FakeClock } from '../helpers/clock.ts'
import { startHttpBackend } from '../helpers/http-backend.ts'

const LIMITS = { timeoutMs: 500, maxBytes: 100 }

afterEach(() => {
  vi.restoreAllMocks()
})

describe('fetchText', () => {
  it('leaves nothing behind at its caller, however many exchanges the caller has made', async () => {
    const backend = await startHttpBackend()
    const { signal } = new AbortController()
    const clock = new FakeClock()
    // What it makes stays with the caller's signal until a collection: 40,000 of them took 77 ms to collect.
    const any = vi.spyOn(AbortSignal, 'any')
    for (let i = 0; i < 20; i++) {
      const { text } = await fetchText({ fetch, clock, url: backend.url, signal, ...LIMITS })
      expect(text).toBe('ok')
    }
    expect(getEventListeners(signal, 'abort')).toEqual([])
    expect(any).not.toHaveBeenCalled()
    expect(clock.pending).toBe(0)
    await backend.close()
  })

  it('tells its own timeout, its caller and a caller that had given up before apart', async () => {
    const backend = await startHttpBackend(() => new Promise(() => undefined))
    const clock = new FakeClock()
    const caller = new AbortController()
    const late = fetchText({ fetch, clock, url: backend.url, signal: caller.signal, ...LIMITS })
    const [, lateOutcome] = await Promise.all([clock.advance(500), late.catch((error: unknown) => error)])
    expect(lateOutcome).toMatchObject({ code: 'DEADLINE_EXCEEDED' })
    const given = fetchText({ fetch, clock, url: backend.url, signal: caller.signal, ...LIMITS })
    caller.abort()
    await expect(given).rejects.toMatchObject({ code: 'CANCELLED' })
    const never = fetchText({ fetch, clock, url: backend.url, signal: caller.signal, ...LIMITS })
    await expect(never).rejects.toMatchObject({ code: 'CANCELLED' })
    await backend.close()
  })
})
