// Defects of Mixer's client and of the caches that it shared with the server: each must be absent here.
//
// Held elsewhere:
// - a map key that is not set means word 0 of the dictionary (`source.ip`): test/wire/mixer/referenced-attributes.test.ts,
//   "sends the map key that is word 0 as a message word, never as 0", and "never lets an Istio 1.4 client reuse …";
// - shapes are never evicted: test/cache/shape-tree.test.ts, "keeps only the shapes it has room for …";
// - every sidecar sees a full budget of uses: test/cache/mesh.test.ts, "shares a budget of uses exactly";
// - concurrent misses are as many calls: test/cache/verdict-cache.test.ts, "makes one call for many checks at once …";
// - the wall clock decides: test/cache/verdict-cache.test.ts, "does not believe an entry from the future …".
// Cannot exist here: everything about the prefetch pools of quotas (jammed after a lost reply, unbounded optimism, a full
// ring that looks empty, freed under a callback): there is no pool, each quota is asked for with its check. A 64-bit
// hash as the key: keys are SHA-256 or the whole text.

import { describe, expect, it } from 'vitest'
import { Duration } from '../../../src/kernel/time.ts'
import { allow, Backends, deny, echo, listEntry, object, scripted, serve } from './node.ts'

const rule = (name: string, spec: string, notes = '') => object('rule', name, spec, { notes })

/** A node with one rule that asks one backend about one value, which echoes it. */
async function echoing(value: string) {
  const backends = new Backends()
  backends.checks.set('h', echo)
  const node = await serve(
    backends,
    scripted('h'),
    listEntry('i', value),
    rule('r', '{actions: [{handler: h, instances: [i]}]}'),
  )
  return { backends, ...node }
}

describe('a cached answer', () => {
  it('given for the absence of a map is not served once the map is there', async () => {
    const node = await echoing('m["k"] | "none"')
    expect(await node.says({})).toContain('none')
    expect(await node.says({ m: new Map([['k', 'v']]) })).toContain('"v"')
    expect(await node.says({ m: new Map() })).toContain('none')
  })

  it('given for the absence of a whole map is not served once the map is there', async () => {
    const node = await echoing('m')
    expect(await node.says({})).toMatch(/^7 .*: m is missing$/)
    expect(await node.says({ m: new Map([['', 'v']]) })).toMatch(/^7 .*v/)
  })

  it.each([
    [
      { a: 'x', b: 'y\u0000b\u0000z' },
      { a: 'x\u0000b\u0000y', b: 'z' },
    ],
    [
      { a: 's1:x', b: '' },
      { a: '', b: 's1:x' },
    ],
    [
      { a: '1:x1:y', b: 'z' },
      { a: '1:x', b: '1:y1:z' },
    ],
  ])('given for %j is not served for %j, though their texts can be joined alike', async (one, other) => {
    const backends = new Backends()
    backends.checks.set('h', echo)
    const fields = '{compiledTemplate: authorization, params: {subject: {user: a, groups: b}}}'
    const node = await serve(
      backends,
      scripted('h'),
      object('instance', 'i', fields),
      rule('r', '{actions: [{handler: h, instances: [i]}]}'),
    )
    const first = await node.says(one)
    const second = await node.says(other)
    expect(first).not.toBe(second)
    expect([await node.says(one), await node.says(other)]).toEqual([first, second])
  })

  it('is filed under the shape of its own evaluation, not under the first that the request fits', async () => {
    const node = await echoing('conditional(n == 1, a, b)')
    expect(await node.says({ n: 1n, a: 'x', b: 'y' })).toContain('"x"')
    expect(await node.says({ n: 2n, a: 'x', b: 'y' })).toContain('"y"')
    expect(await node.says({ n: 2n, a: 'x', b: 'z' })).toContain('"z"')
    expect(await node.says({ n: 1n, a: 'x', b: 'z' })).toContain('"x"')
  })

  it('depends on durations that were read', async () => {
    const node = await echoing('d')
    const first = await node.says({ d: new Duration(5_000_000n) })
    expect(await node.says({ d: new Duration(6_000_000n) })).not.toBe(first)
  })

  it('ends with the config that it was given under', async () => {
    const backends = new Backends()
    const objects = (match: string) => [
      object('handler', 'no', '{compiledAdapter: denier}'),
      object('instance', 'nothing', '{compiledTemplate: checknothing}'),
      rule('r', `{match: '${match}', actions: [{handler: no, instances: [nothing]}]}`),
    ]
    const node = await serve(backends, ...objects('a == "x"'))
    expect(await node.says({ a: 'y' })).toBe('0')
    await node.reload(...objects('a == "y"'))
    expect(await node.says({ a: 'y' })).toMatch(/^9/)
  })

  it('of a backend ends with the params of its handler', async () => {
    const backends = new Backends()
    backends.checks.set('old', () => allow())
    backends.checks.set('new', () => deny('no longer'))
    const objects = (role: string) => [
      object('handler', 'h', `{compiledAdapter: scripted, params: {role: ${role}}}`),
      listEntry('i', 'a'),
      rule('r', '{actions: [{handler: h, instances: [i]}]}'),
    ]
    const node = await serve(backends, ...objects('old'))
    expect(await node.says({ a: 'x' })).toBe('0')
    await node.reload(...objects('new'))
    expect(await node.says({ a: 'x' })).toContain('no longer')
  })

  it('says how many uses are left of it, not how many there once were', async () => {
    const node = await echoing('a')
    node.backends.checks.set('h', () => allow(60_000, 3))
    const uses: number[] = []
    for (let i = 0; i < 3; i++) uses.push((await node.check({ a: 'x' })).validUses)
    expect(uses).toEqual([...uses].sort((x, y) => y - x))
    expect(new Set(uses).size).toBe(3)
    await node.check({ a: 'x' })
    await node.check({ a: 'x' })
    expect(node.backends.calls).toBe(2)
  })

  it('is not served at the moment when it ends', async () => {
    const node = await echoing('a')
    node.backends.checks.set('h', () => allow(1_000))
    const { validForMs } = await node.check({ a: 'x' })
    await node.clock.advance(validForMs)
    expect((await node.check({ a: 'x' })).tier).toBe('backend')
  })

  it('ends after a minute where the backend sets no bound', async () => {
    const node = await echoing('a')
    node.backends.checks.set('h', () => ({ status: { code: 0, message: '' } }))
    const { validForMs } = await node.check({ a: 'x' })
    expect(validForMs).toBeGreaterThan(50_000)
    expect(validForMs).toBeLessThanOrEqual(60_000)
  })

  it.each([5, 14])('is served from the cache whatever its status says, such as %d', async (code) => {
    const node = await echoing('a')
    node.backends.checks.set('h', () => deny('no', code))
    expect(await node.says({ a: 'x' })).toMatch(new RegExp(`^${code} `))
    expect((await node.check({ a: 'x' })).tier).toBe('local')
    expect(node.backends.calls).toBe(1)
  })

  it('of one shape does not keep those of another from being found', async () => {
    const node = await echoing('conditional(n == 1, a, b)')
    node.backends.checks.set('h', ({ fields }) => allow(fields['value'] === 'short' ? 1_000 : 60_000))
    await node.check({ n: 2n, a: 'long', b: 'long' })
    await node.check({ n: 1n, a: 'short', b: 'long' })
    await node.clock.advance(2_000)
    expect((await node.check({ n: 2n, a: 'long', b: 'long' })).tier).toBe('local')
  })
})

describe('an answer under a fail policy', () => {
  it('is not kept', async () => {
    const backends = new Backends()
    const node = await serve(
      backends,
      scripted('h'),
      listEntry('i', 'a'),
      rule('r', '{actions: [{handler: h, instances: [i]}]}', 'policy.intermix.dev/failPolicy: open'),
    )
    const pending = node.check({ a: 'x' })
    await node.clock.advance(100)
    expect(await pending).toMatchObject({ status: { code: 0 }, validForMs: 0, validUses: 0 })
    backends.checks.set('h', () => deny('no'))
    await node.clock.advance(40_000)
    expect(await node.says({ a: 'x' })).toContain('no')
  })
})
