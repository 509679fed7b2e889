// What a node finds under a verdict's key in Redis and did not come from a node: it is not believed, counted and replaced.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RedisLink } from '../../src/redis/connection.ts'
import { FakeClock } from '../helpers/clock.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { settled, untilFilled } from './real-redis.ts'
import { allow, Backend, createNode, deny, DOWN, handlerConfig, said, SERVER_START } from './support.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 15_000, role: 'cache', emptied: true })

const VALID_MS = 60_000
const BOUNDS = handlerConfig({ staleIfErrorMs: 30_000, maxDenyValidForMs: 20_000 })
const DIRECT = { code: 403, body: 'no', headers: { 'x-why': 'because' } }

/** A key with an entry that a node stored 10 s ago. */
async function stored(verdict = allow(VALID_MS, 1_000)) {
  const clock = new FakeClock()
  const backend = new Backend(clock, BOUNDS)
  backend.answer = verdict
  const first = createNode({ clock, link, nodeId: 'first' })
  await settled(link, clock, said(first.ask(backend)))
  await untilFilled(link)
  await clock.advance(10_000)
  const [entry = ''] = await link.run((client) => client.keys('test:*:v'))
  const blob = JSON.parse((await link.run((client) => client.hget(entry, 'b'))) ?? '') as Record<string, unknown>
  let nodes = 0
  const ask = async () => {
    const node = createNode({ clock, link, nodeId: `n${++nodes}` })
    const outcome = await settled(link, clock, Promise.resolve(node.ask(backend)))
    return { node, outcome, said: await said(outcome) }
  }
  const now = () => SERVER_START + Math.round(clock.monotonic())
  return { clock, backend, entry, blob, ask, now }
}

type Stored = Awaited<ReturnType<typeof stored>>

const set = (entry: string, ...fields: (string | number)[]) => link.run((client) => client.hset(entry, ...fields))
const change = ({ entry, blob }: Stored, parts: object) => set(entry, 'b', JSON.stringify({ ...blob, ...parts }))

const PARTS = ['code', 'message', 'validForMs', 'validUses', 'directResponse', 'output', 'generation', 'fetchMs']
const NUMBERS = [-1, 1.5, 1e300, '5', null, true, [], {}]
const HEADERS = [{ 'x-why': 5 }, { 'x-why': null }, { 'x-why': ['a'] }, 'text', null, 7]

/** Why it is not believed, what is wrong, and how it comes about. */
const SPOILS: readonly (readonly [reason: string, what: string, spoil: (found: Stored) => Promise<unknown>])[] = [
  ['blob', 'text', ({ entry }) => set(entry, 'b', 'garbage')],
  ['blob', 'null', ({ entry }) => set(entry, 'b', 'null')],
  ['blob', 'another version', (found) => change(found, { version: 99 })],
  ['blob', 'another key', (found) => change(found, { key: 'other' })],
  ['blob', 'an unknown verdict', (found) => change(found, { kind: 'unknown' })],
  ['blob', 'a denial with code 0', (found) => change(found, { kind: 'deny' })],
  ['blob', 'an allowance with code 7', (found) => change(found, { code: 7 })],
  ...[-1, 17, 1.5, '0', null].map((code) => blobSpoil('code', code)),
  ...[5, null, {}].map((message) => blobSpoil('message', message)),
  ...[...NUMBERS, 0, 86_400_001].map((validForMs) => blobSpoil('validForMs', validForMs)),
  ...[...NUMBERS, 0, 2 ** 31].map((validUses) => blobSpoil('validUses', validUses)),
  ...[...NUMBERS, 2 ** 53].map((sequence) => blobSpoil('sequence', sequence)),
  ...[5, null, 'g'.repeat(600)].map((generation) => blobSpoil('generation', generation)),
  ...[-1, 1e300, '5', null].map((fetchMs) => blobSpoil('fetchMs', fetchMs)),
  ...['text', null, 7, [], {}].map((directResponse) => blobSpoil('directResponse', directResponse)),
  ...[42, 600, 200.5, '403', null].map((code) => blobSpoil('directResponse', { ...DIRECT, code })),
  ...[5, null].map((body) => blobSpoil('directResponse', { ...DIRECT, body })),
  ...HEADERS.map((headers) => blobSpoil('directResponse', { ...DIRECT, headers })),
  ...['text', null, {}, [5], [['a']], [[5, 'a']], [['a', null]], [['a', { int: 'x' }]], [['a', 'b', 'c']]].map(
    (output) => blobSpoil('output', output),
  ),
  ['fields', 'no numbers', ({ entry }) => set(entry, 'u', 'many', 'f', 'never')],
  ['fields', 'negative uses', ({ entry }) => set(entry, 'u', -5)],
  ['fields', 'uses that are not finite', ({ entry }) => set(entry, 'u', 'inf')],
  ['fields', 'a creation that is not a number', ({ entry }) => set(entry, 'c', 'nan')],
  ['fields', 'a lifetime beyond all numbers', ({ entry }) => set(entry, 'f', '1e308')],
  ['fields', 'an end too far off to be a time', ({ entry }) => set(entry, 'f', '9'.repeat(20))],
  ['fields', 'no creation', ({ entry }) => link.run((client) => client.hdel(entry, 'c'))],
  ['lifetime', 'three thousand years', ({ entry }) => set(entry, 'f', '99999999999999')],
  ['lifetime', 'more than the backend granted', ({ entry, now }) => set(entry, 'f', now() + VALID_MS)],
  ['uses', 'more uses than the backend granted', ({ entry }) => set(entry, 'u', 1_001)],
  ['future', 'a birth to come', ({ entry, now }) => set(entry, 'c', now() + 10_000, 'f', now() + 20_000)],
  ['size', 'a megabyte', (found) => change(found, { message: 'x'.repeat(1_000_000) })],
  ['type', 'a string', ({ entry }) => retype(entry, (client) => client.set(entry, 'a string'))],
  ['type', 'a list', ({ entry }) => retype(entry, (client) => client.rpush(entry, 'a', 'b'))],
]

function blobSpoil(field: string, value: unknown): (typeof SPOILS)[number] {
  const text = JSON.stringify(value).slice(0, 60)
  return ['blob', `${field} ${text}`, (found) => change(found, { [field]: value })]
}

async function retype(entry: string, make: Parameters<RedisLink['run']>[0]): Promise<void> {
  await link.run((client) => client.del(entry))
  await link.run(make)
}

describe('an entry of the mesh tier', () => {
  it.each(SPOILS)('(%s) that is %s is not believed while fresh, counted and replaced', async (reason, _, spoil) => {
    const found = await stored()
    await spoil(found)
    found.backend.answer = deny(10_000)
    const { node, said: told } = await found.ask()
    expect(told).toBe('backend deny')
    expect(node.meter.value('cache_mesh_garbage_total', reason)).toBe(1)
    await untilFilled(link)
    expect((await found.ask()).said).toBe('mesh deny')
    expect(found.backend.calls).toBe(2)
  })

  it.each(SPOILS)('(%s) that is %s is not served stale', async (_reason, _, spoil) => {
    const found = await stored()
    await found.clock.advance(55_000)
    await spoil(found)
    found.backend.answer = DOWN
    expect((await found.ask()).said).toBe('unknown')
  })

  it('is replaced where it has neither a blob nor a time', async () => {
    const found = await stored()
    await set(found.entry, 'b', '', 'c', 'nan')
    found.backend.answer = deny(10_000)
    expect((await found.ask()).said).toBe('backend deny')
    expect((await found.ask()).said).toBe('mesh deny')
  })

  it('is believed as long as it says, with every kind of value', async () => {
    const output = { text: 'a', count: 5n, share: 0.5, yes: true, map: new Map([['k', 'v']]) }
    const found = await stored({ ...allow(VALID_MS, 1_000), directResponse: DIRECT, output })
    const { outcome } = await found.ask()
    expect(outcome.entry?.verdict).toEqual({ ...allow(VALID_MS, 1_000), directResponse: DIRECT, output })
    await found.clock.advance(48_000)
    expect((await found.ask()).said).toBe('mesh allow')
    await found.clock.advance(2_000)
    expect((await found.ask()).said).toBe('backend allow')
  })

  it('of a denial is not believed for longer than this handler allows', async () => {
    const found = await stored(deny(20_000))
    await change(found, { validForMs: 60_000 })
    await set(found.entry, 'f', found.now() + 50_000)
    const { node, said: told } = await found.ask()
    expect(told).toBe('backend deny')
    expect(node.meter.value('cache_mesh_garbage_total', 'lifetime')).toBe(1)
  })

  it.each([1, Number.MAX_SAFE_INTEGER])(
    'with the number %i in the log of revocations, not given yet, is replaced',
    async (sequence) => {
      const found = await stored()
      await change(found, { sequence })
      found.backend.answer = deny(10_000)
      expect((await found.ask()).said).toBe('backend deny')
      expect((await found.ask()).said).toBe('mesh deny')
    },
  )

  it('is served within its bounds or not at all, whatever was written over it', async () => {
    const json = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom(1e300, -1, 0, 2 ** 53))
    const text = fc.oneof(fc.string(), fc.integer().map(String), fc.constantFrom('inf', 'nan', '1e308', '-0', '0x10'))
    const overwrite = fc.oneof(
      fc.record({ field: fc.constantFrom('b', 'u', 'c', 'f'), text }),
      fc.record({
        part: fc.constantFrom(...PARTS),
        json,
      }),
    )
    const property = fc.asyncProperty(fc.array(overwrite, { minLength: 1, maxLength: 3 }), async (overwrites) => {
      await link.run((client) => client.flushdb())
      const found = await stored()
      for (const change of overwrites) {
        if ('field' in change) await set(found.entry, change.field, change.text)
        else await set(found.entry, 'b', JSON.stringify({ ...found.blob, [change.part]: change.json }))
      }
      found.backend.answer = deny(10_000)
      const { outcome, said: told } = await found.ask()
      expect(['mesh allow', 'mesh deny', 'backend deny']).toContain(told)
      const { entry } = outcome
      const now = found.clock.monotonic()
      expect(entry?.freshUntil).toBeLessThanOrEqual((entry?.createdAt ?? 0) + (entry?.verdict.validForMs ?? 0) + 2)
      expect(entry?.createdAt).toBeLessThanOrEqual(now)
      expect(entry?.usesLeft).toBeLessThanOrEqual(entry?.verdict.validUses ?? 0)
      await untilFilled(link)
      expect((await found.ask()).said).toMatch(/^mesh /)
    })
    await fc.assert(property, { numRuns: 200 })
  })
})

describe('a lease in the mesh tier', () => {
  it.each([
    ['without an end', 'PERSIST'],
    ['that ends in a year', 'PX'],
  ])('%s is not waited for', async (_, kind) => {
    const found = await stored()
    const lease = found.entry.replace(/v$/, 'l')
    await link.run((client) => client.del(found.entry))
    await link.run<unknown>((client) =>
      kind === 'PX' ? client.set(lease, 'x', 'PX', 31_536_000_000) : client.rpush(lease, 'not a lease'),
    )
    const askedAt = found.clock.monotonic()
    expect((await found.ask()).said).toBe('backend allow')
    expect(found.clock.monotonic() - askedAt).toBeLessThan(50)
  })
})
