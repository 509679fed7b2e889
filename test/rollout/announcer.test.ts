// What is told of config rollouts, over a real Redis and to a real HTTP server.

import { createHmac } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RolloutAnnouncer } from '../../src/rollout/announcer.ts'
import { rolloutKeys } from '../../src/rollout/keys.ts'
import { RolloutStore } from '../../src/rollout/rollout-store.ts'
import { webhook } from '../../src/rollout/webhook.ts'
import { FakeClock } from '../helpers/clock.ts'
import { type HttpBackend, startHttpBackend } from '../helpers/http-backend.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'
import { idOf, NO_WAIT } from './support.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 5_000, emptied: true })
const PREFIX = 'announced'
const store = new RolloutStore({ link, prefix: PREFIX })
const SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`

let backend: HttpBackend
let clock: FakeClock
let meter: ReadableMeter
beforeEach(async () => {
  await link.client.del(...Object.values(rolloutKeys(PREFIX)))
  backend = await startHttpBackend()
  clock = new FakeClock()
  meter = new ReadableMeter()
})
afterEach(() => backend.close())

function announcer(node: string): RolloutAnnouncer {
  const announce = webhook({ url: backend.url, secret: SECRET, fetch, now: () => clock.now() })
  return new RolloutAnnouncer({ store, node, announce, clock, random: () => 0.5, log: new KeptLog(), meter })
}

let tries = 0
/** Two changes: a publication, and its end. */
async function change(name: string): Promise<void> {
  const version = idOf(name)
  const common = { by: 'ann', pace: NO_WAIT, expectations: [], again: false }
  const published = await store.operate({ kind: 'publish', version, id: `try-${tries++}`, ...common })
  expect(published.kind).toBe('done')
  expect((await store.operate({ kind: 'abort', by: 'bob', reason: 'no' })).kind).toBe('done')
}

const told = () =>
  backend.requests.map(({ body }) => (JSON.parse(body) as { data: { rev: number; event: string } }).data)
const events = () => told().map(({ event }) => event)

describe('changes of config rollouts', () => {
  it('do not wait for a right that another clock gave, before Redis failed over', async () => {
    await announcer('gone').look()
    await change('a')
    await link.client.hset(rolloutKeys(PREFIX).announced, 'until', Date.now() + 3_600_000)
    await announcer('one').look()
    expect(events()).toEqual(['publish', 'abort'])
  })

  it('are told in their order, once each, signed; what was before the first look is not', async () => {
    await change('old')
    const one = announcer('one')
    await one.look()
    expect(backend.count).toBe(0)
    await change('a')
    await one.look()
    await one.look()
    expect(events()).toEqual(['publish', 'abort'])
    const [request] = backend.requests
    const head = (name: string) => String(request?.headers[name])
    const content = `${head('webhook-id')}.${head('webhook-timestamp')}.${request?.body ?? ''}`
    const signature = createHmac('sha256', Buffer.alloc(24, 7)).update(content).digest('base64')
    expect(head('webhook-signature')).toBe(`v1,${signature}`)
    expect(JSON.parse(request?.body ?? '')).toMatchObject({ type: 'rollout.publish', data: { by: 'ann' } })
    expect(JSON.parse(request?.body ?? '').text).toMatch(/^Config rollout: .* \(ann\)$/)
  })

  it('are told again, by the same id, until they are taken', async () => {
    const one = announcer('one')
    await one.look()
    backend.answerWith(() => ({ status: 503 }))
    await change('a')
    await one.look()
    expect(events()).toEqual(['publish'])
    backend.answerWith(() => ({ status: 200 }))
    await one.look()
    expect(events()).toEqual(['publish', 'publish', 'abort'])
    const ids = backend.requests.map(({ headers }) => headers['webhook-id'])
    expect(ids[0]).toBe(ids[1])
    expect(new Set(ids).size).toBe(2)
    expect(meter.value('rollout_announced_total', 'failed')).toBe(1)
    expect(meter.value('rollout_announced_total', 'taken')).toBe(2)
    await one.stop()
  })

  it('are passed over where they are refused for good', async () => {
    const one = announcer('one')
    await one.look()
    backend.answerWith(({ body }) => ({ status: body.includes('publish') ? 400 : 200 }))
    await change('a')
    await one.look()
    expect(events()).toEqual(['publish', 'abort'])
    expect(meter.value('rollout_announced_total', 'refused')).toBe(1)
  })

  it('are told by one node, and by another one when that has gone', async () => {
    const [one, other] = [announcer('one'), announcer('other')]
    await one.look()
    await change('a')
    await other.look()
    expect(backend.count).toBe(0)
    await one.look()
    expect(backend.count).toBe(2)
    await one.stop()
    await change('b')
    await other.look()
    expect(events()).toEqual(['publish', 'abort', 'publish', 'abort'])
    await other.stop()
  })

  it('are not told again by a node that comes back after another one', async () => {
    const [one, other] = [announcer('one'), announcer('other')]
    await one.look()
    await change('a')
    await one.look()
    // It has lost its right, and the other one goes before it is back.
    await link.client.hset(rolloutKeys(PREFIX).announced, 'until', 0)
    await change('b')
    await other.look()
    await other.stop()
    await one.look()
    await one.look()
    expect(events()).toEqual(['publish', 'abort', 'publish', 'abort'])
    await change('c')
    await one.look()
    expect(told().at(-1)).toMatchObject({ rev: 6, event: 'abort' })
    expect(backend.count).toBe(6)
  })

  it('ask for a secret that is one', () => {
    for (const secret of ['', 'short', '*'.repeat(40)])
      expect(() => webhook({ url: backend.url, secret, fetch, now: () => 0 })).toThrow(/16 bytes or more, in base64/)
  })
})
