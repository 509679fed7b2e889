// Who can write to the cache Redis forges verdicts in every way: a node with the key of its mesh believes none of them.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MeshKeys } from '../../src/cache/mesh-keys.ts'
import { FakeClock } from '../helpers/clock.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { meshKeys } from './mesh-key-support.ts'
import { settled, untilFilled } from './real-redis.ts'
import { allow, Backend, createNode, deny, DOWN, handlerConfig, said, SERVER_START } from './support.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 15_000, role: 'cache', emptied: true })

const VALID_MS = 60_000
const BOUNDS = handlerConfig({ staleIfErrorMs: 30_000 })

/** What node `first` has left of a denial, and of an allowance for another value, 10 s ago. */
async function stored(writer: MeshKeys | undefined, verdict = deny(VALID_MS)) {
  const clock = new FakeClock()
  const backend = new Backend(clock, BOUNDS)
  const entries: Record<string, Record<string, string>> = {}
  const first = createNode({ clock, link, nodeId: 'first', ...(writer && { seal: writer }) })
  const leave = async (value: string, left: typeof verdict) => {
    backend.answer = left
    await settled(link, clock, said(first.ask(backend, value)))
    const known = Object.keys(entries)
    await untilFilled(link, known.length + 1)
    const [entry = ''] = (await link.run((client) => client.keys('test:*:v'))).filter((key) => !known.includes(key))
    entries[entry] = await link.run((client) => client.hgetall(entry))
    return { key: entry, fields: entries[entry] }
  }
  const denied = await leave('x', verdict)
  const allowed = await leave('y', allow(VALID_MS))
  await clock.advance(10_000)
  backend.calls = 0
  backend.answer = deny(VALID_MS, 'asked anew')
  let nodes = 0
  const ask = async (reader: MeshKeys | undefined, value = 'x') => {
    const node = createNode({ clock, link, nodeId: `n${++nodes}`, ...(reader && { seal: reader }) })
    return { node, said: await said(await settled(link, clock, Promise.resolve(node.ask(backend, value)))) }
  }
  return { clock, backend, denied, allowed, ask, now: () => SERVER_START + Math.round(clock.monotonic()) }
}

type Stored = Awaited<ReturnType<typeof stored>>

const set = (key: string, fields: Record<string, string | number>) => link.run((client) => client.hset(key, fields))

const FORGERIES: readonly (readonly [reason: string, what: string, forge: (found: Stored) => Promise<unknown>])[] = [
  ['forged', 'made an allowance', ({ denied }) => set(denied.key, { b: allowing(denied.fields['b']) })],
  [
    'unsigned',
    'made an allowance without a signature',
    async ({ denied }) => {
      await set(denied.key, { b: allowing(denied.fields['b']) })
      await link.run((client) => client.hdel(denied.key, 'm'))
    },
  ],
  [
    'unknown_key',
    'signed by a key of the forger',
    ({ denied }) => {
      const b = allowing(denied.fields['b'])
      return set(denied.key, { b, m: meshKeys(['forger']).keys.sign('entry', b) })
    },
  ],
  ['forged', 'the allowance of another key', ({ denied, allowed }) => set(denied.key, allowed.fields)],
  [
    'forged',
    'the allowance of another key with its name changed',
    ({ denied, allowed }) => {
      const b = JSON.stringify({ ...JSON.parse(allowed.fields['b'] ?? ''), key: keyIn(denied.fields['b']) })
      return set(denied.key, { ...allowed.fields, b })
    },
  ],
  ['forged', 'born later', ({ denied, now }) => set(denied.key, { c: now() })],
  ['forged', 'fresh for longer', ({ denied, now }) => set(denied.key, { f: now() + VALID_MS - 15_000 })],
  [
    'forged',
    'born later and fresh for longer',
    ({ denied, now }) => set(denied.key, { c: now(), f: now() + VALID_MS }),
  ],
  ['forged', 'written with other zeros', ({ denied }) => set(denied.key, { c: `0${denied.fields['c']}` })],
  [
    'forged',
    'of a later epoch',
    ({ denied }) => {
      const b = JSON.stringify({ ...JSON.parse(denied.fields['b'] ?? ''), sequence: 7 })
      return set(denied.key, { b })
    },
  ],
]

describe.each([
  ['signed', false],
  ['signed and encrypted', true],
])('a verdict that is %s', (_, encrypts) => {
  const keys = () => meshKeys(['a'], { encrypts })

  it('is shared by nodes with the key', async () => {
    const { keys: writer } = keys()
    const { ask, backend, denied } = await stored(writer)
    expect(denied.fields['b']?.includes('deny')).toBe(!encrypts)
    expect((await ask(keys().keys)).said).toBe('mesh deny')
    expect((await ask(meshKeys(['b', 'a']).keys)).said).toBe('mesh deny')
    expect(backend.calls).toBe(0)
  })

  it('is not served beyond its life, however it is kept in Redis', async () => {
    const { keys: writer } = keys()
    const { ask, backend, clock, denied } = await stored(writer)
    await clock.advance(VALID_MS + BOUNDS.staleIfErrorMs)
    backend.answer = DOWN
    await link.run((client) => client.persist(denied.key))
    await set(denied.key, denied.fields)
    expect((await ask(writer)).said).toBe('unknown')
  })

  it('is not believed with any byte changed', async () => {
    const { keys: writer } = keys()
    const { keys: reader, refused } = keys()
    const { ask, denied } = await stored(writer)
    let believed = 0
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('b', 'c', 'f', 'm'),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async (field, at, by) => {
          const bytes = Buffer.from(denied.fields[field] ?? '')
          const place = at % bytes.length
          bytes[place] = (bytes[place] ?? 0) ^ by
          await link.run((client) => client.del(denied.key))
          await set(denied.key, denied.fields)
          await link.run((client) => client.hset(denied.key, field, bytes))
          if ((await ask(reader)).said !== 'backend deny') believed++
        },
      ),
      { numRuns: 200 },
    )
    expect(believed).toBe(0)
    expect(refused('entry', 'forged') + refused('entry', 'unknown_key')).toBeGreaterThan(0)
  })
})

describe('a forged verdict', () => {
  it.each(FORGERIES)('(%s) that is %s is not believed, counted and replaced', async (reason, _, forge) => {
    const { keys: writer, refused } = meshKeys(['a'])
    const found = await stored(writer)
    await forge(found)
    const { node, said: told } = await found.ask(writer)
    expect(told).toBe('backend deny')
    expect(refused('entry', reason)).toBe(1)
    expect(node.meter.value('cache_mesh_garbage_total', reason)).toBe(1)
    await link.run((client) => client.ping())
    expect((await found.ask(writer)).said).toBe('mesh deny')
    expect(found.backend.calls).toBe(1)
  })

  it.each(FORGERIES)('(%s) that is %s is not served while the backend is away', async (_reason, _, forge) => {
    const { keys: writer } = meshKeys(['a'])
    const found = await stored(writer)
    await found.clock.advance(55_000)
    await forge(found)
    found.backend.answer = DOWN
    expect((await found.ask(writer)).said).toBe('unknown')
  })

  it('of another prefix is not believed', async () => {
    const found = await stored(meshKeys(['a'], { prefix: 'other' }).keys)
    expect((await found.ask(meshKeys(['a']).keys)).said).toBe('backend deny')
  })

  it('grants no uses that the backend has bounded: these stay with the node that has fetched it', async () => {
    const { keys: writer } = meshKeys(['a'])
    const found = await stored(writer)
    found.backend.answer = { ...allow(VALID_MS), validUses: 5 }
    expect((await found.ask(writer, 'z')).said).toBe('backend allow')
    expect((await found.ask(writer, 'z')).said).toBe('backend allow')
    expect(await link.run((client) => client.keys('test:*:v'))).toHaveLength(2)
  })
})

describe('nodes with and without the key', () => {
  it('share verdicts while those that have it accept what is unsigned', async () => {
    const accepting = meshKeys(['a'], { mode: 'accept' })
    const unsigned = await stored(undefined)
    expect((await unsigned.ask(accepting.keys)).said).toBe('mesh deny')
    await link.run((client) => client.flushdb())
    const signed = await stored(accepting.keys)
    expect((await signed.ask(undefined)).said).toBe('mesh deny')
    expect((await signed.ask(meshKeys(['a']).keys)).said).toBe('mesh deny')
    await set(signed.denied.key, { b: allowing(signed.denied.fields['b']) })
    expect((await signed.ask(accepting.keys)).said).toBe('backend deny')
    expect(accepting.refused('entry', 'forged')).toBe(1)
  })

  it('each ask for themselves what the others have left, once they require it', async () => {
    const unsigned = await stored(undefined)
    const { keys: reader, refused } = meshKeys(['a'])
    expect((await unsigned.ask(reader)).said).toBe('backend deny')
    expect(refused('entry', 'unsigned')).toBe(1)
  })

  it('exchange it by two keys, without a miss', async () => {
    const steps = [['old'], ['old', 'new'], ['new', 'old'], ['new']]
    for (const [at, names] of steps.entries()) {
      await link.run((client) => client.flushdb())
      const found = await stored(meshKeys(names).keys)
      // Others are one step behind, or ahead.
      for (const other of [steps[at - 1], names, steps[at + 1]])
        if (other !== undefined) expect((await found.ask(meshKeys(other).keys)).said).toBe('mesh deny')
      expect(found.backend.calls).toBe(0)
    }
  })
})

function allowing(blob = ''): string {
  return JSON.stringify({ ...JSON.parse(blob), kind: 'allow', code: 0, message: '' })
}

function keyIn(blob = ''): unknown {
  return (JSON.parse(blob) as { key: unknown }).key
}
