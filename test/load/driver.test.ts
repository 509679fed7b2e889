import { createServer, type Server } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { startBackend } from '../../load/backend-control.ts'
import { drive, type Outcome } from '../../load/driver.ts'
import { decisionOn, pathOf } from '../../load/oracle.ts'
import { backendTarget, intermixTarget } from '../../load/targets.ts'

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

describe('the driver', () => {
  it('goes on sending while answers are awaited, and counts latency from the intended time', async () => {
    const held: (() => void)[] = []
    const outcomes: Outcome[] = []
    const arrivals = Float64Array.from([0, 5, 10, 15, 20])
    await drive({
      arrivals,
      nextKey: () => 3,
      // Nobody is answered before everybody has asked: a driver that waits for answers would never end.
      ask: () =>
        new Promise((resolve) => {
          held.push(() => resolve({ decision: 'allow' }))
          if (held.length === arrivals.length) for (const release of held) release()
        }),
      onOutcome: (outcome) => outcomes.push(outcome),
    })
    expect(outcomes.map(({ number }) => number)).toEqual([0, 1, 2, 3, 4])
    // A timer may fire a millisecond early, and half of one is not waited for.
    for (const { at, latencyMs } of outcomes) expect(latencyMs).toBeGreaterThanOrEqual(20 - at - 2)
  })

  it('counts a rejection as no decision, and sends no more than may be under way', async () => {
    const outcomes: Outcome[] = []
    let release = () => {}
    const first = new Promise<void>((resolve) => (release = resolve))
    await drive({
      arrivals: Float64Array.from([0, 1, 2]),
      nextKey: () => 0,
      maxInFlight: 1,
      async ask() {
        await first
        throw new Error('broken')
      },
      onOutcome(outcome) {
        outcomes.push(outcome)
        if (outcomes.length === 2) release()
      },
    })
    expect(outcomes.map(({ error }) => error)).toEqual([
      'too many requests in flight',
      'too many requests in flight',
      'broken',
    ])
    expect(outcomes.every(({ decision }) => decision === 'none')).toBe(true)
  })
})

describe('the Intermix target', () => {
  it('reads decision, tier and age, and takes every code but a denial for no decision', async () => {
    const codes = ['0', '7', '14']
    const server: Server = createServer((request, response) => {
      request.resume()
      response.setHeader('x-intermix-status', codes.shift() ?? '')
      response.setHeader('x-intermix-tier', 'stale')
      response.setHeader('x-intermix-age-ms', 1234)
      response.end('{}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    ends.push(() => new Promise((resolve) => server.close(resolve)))
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    const target = intermixTarget([`http://127.0.0.1:${port}`], 1, { deadlineMs: 1_000 })
    ends.push(() => target.close())
    expect(await target.ask(0)).toEqual({ decision: 'allow', tier: 'stale', ageMs: 1234 })
    expect(await target.ask(0)).toEqual({ decision: 'deny', tier: 'stale', ageMs: 1234 })
    expect(await target.ask(0)).toMatchObject({ decision: 'none', error: 'HTTP 200: {}' })
  })
})

describe('the backend process', () => {
  it('decides by the oracle, notes calls, and fails as it is told', async () => {
    const backend = await startBackend({ validitySeconds: 1 })
    ends.push(() => backend.stop())
    const target = backendTarget([`${backend.url}/me`], { deadlineMs: 200 })
    ends.push(() => target.close())
    for (let key = 0; key < 30; key++) expect((await target.ask(key)).decision).toBe(decisionOn(pathOf(key)))
    expect((await backend.calls()).length).toBe(30)
    expect((await backend.calls())[0]).toEqual(['me', pathOf(0), expect.any(Number), 1])
    await backend.forget()
    await backend.fail({ kind: 'error' })
    expect(await target.ask(1)).toEqual({ decision: 'none', error: 'HTTP 503' })
    await backend.fail({ kind: 'refuse' })
    await expect(target.ask(1)).rejects.toThrow()
    await backend.fail({ kind: 'hang' })
    const hanging = expect(target.ask(1)).rejects.toThrow()
    await expect.poll(async () => (await backend.calls()).length).toBe(2)
    await backend.fail({ kind: 'none' })
    await hanging
    expect((await target.ask(1)).decision).toBe(decisionOn(pathOf(1)))
    expect((await backend.calls()).map(([, , , answered]) => answered)).toEqual([0, 0, 1])
  })
})
