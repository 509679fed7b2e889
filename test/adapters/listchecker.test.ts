import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCall, createTestEnvironment, ManualClock } from '../../src/adapter-kit/test-environment.ts'
import listchecker from '../../src/adapters/listchecker/index.ts'
import { compileEntries, readEntries } from '../../src/adapters/listchecker/entries.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'

function handlerOf(params: object, env = createTestEnvironment()) {
  const handler = listchecker.create(listchecker.config.parse(params), env)
  const ask = (value: AttributeValue | undefined) => {
    const fields = value === undefined ? {} : { value }
    const answer = handler.check?.listentry?.({ name: 'entry', template: 'listentry', fields }, createCall(env))
    if (answer === undefined || answer instanceof Promise) throw new Error('an answer at once was expected')
    return answer
  }
  return { handler, ask }
}

describe('listchecker with overrides', () => {
  it('lets members of an allow list pass and denies others by name', () => {
    const { ask } = handlerOf({ overrides: ['v1', 'v2'] })
    expect(ask('v1')).toEqual({ status: { code: 0, message: '' }, validForMs: 300_000, validUses: 10_000 })
    expect(ask('v3').status).toEqual({ code: 7, message: 'v3 is not whitelisted' })
  })

  it('denies members of a block list', () => {
    const { ask } = handlerOf({ overrides: ['bad'], blacklist: true, cachingInterval: '30s', cachingUseCount: 5 })
    expect(ask('bad')).toEqual({ status: { code: 7, message: 'bad is blacklisted' }, validForMs: 30_000, validUses: 5 })
    expect(ask('good').status.code).toBe(0)
  })

  it('compares without letter case where asked to', () => {
    const { ask } = handlerOf({ overrides: ['Alice'], entryType: 'CASE_INSENSITIVE_STRINGS' })
    expect(ask('aLICE').status.code).toBe(0)
    expect(handlerOf({ overrides: ['Alice'] }).ask('alice').status.code).toBe(7)
  })

  it('matches networks of both families, by text and by address', () => {
    const { ask } = handlerOf({ overrides: ['10.57.0.0/16', '2001:db8::/33', '192.0.2.7'], entryType: 'IP_ADDRESSES' })
    expect(ask('10.57.200.1').status.code).toBe(0)
    expect(ask('10.58.0.1').status).toEqual({ code: 7, message: '10.58.0.1 is not whitelisted' })
    expect(ask(Uint8Array.of(10, 57, 0, 9)).status.code).toBe(0)
    expect(ask('::ffff:10.57.0.9').status.code).toBe(0)
    expect(ask('2001:db8:7fff::1').status.code).toBe(0)
    expect(ask('2001:db8:8000::1').status.code).toBe(7)
    expect(ask('192.0.2.7').status.code).toBe(0)
    expect(ask('not an address').status).toEqual({ code: 3, message: 'not an address is not a valid IP address' })
  })

  it('matches RE2 expressions anywhere in the value', () => {
    const { ask } = handlerOf({ overrides: ['^/public/', 'health$'], entryType: 'REGEX' })
    expect(ask('/public/a').status.code).toBe(0)
    expect(ask('/x/health').status.code).toBe(0)
    expect(ask('/x/public/').status.code).toBe(7)
  })

  it('stays linear on an expression that makes backtracking engines hang', () => {
    const { ask } = handlerOf({ overrides: ['^(a+)+$'], entryType: 'REGEX' })
    expect(ask(`${'a'.repeat(20_000)}!`).status.code).toBe(7)
  })

  it('answers INVALID_ARGUMENT where there is nothing to look up', () => {
    expect(handlerOf({ overrides: ['a'] }).ask(undefined).status.code).toBe(3)
    expect(handlerOf({ overrides: ['1'] }).ask(1n).status.code).toBe(3)
  })

  it('reports every bad override with its index', () => {
    const params = { overrides: ['10.0.0.0/8', '10.0.0.0/33', 'x'], entryType: 'IP_ADDRESSES' }
    const issues = listchecker.validate?.(listchecker.config.parse(params))
    expect(issues?.map((issue) => issue.path)).toEqual([
      ['overrides', 1],
      ['overrides', 2],
    ])
    const regex = listchecker.config.parse({ overrides: ['(?=look)'], entryType: 'REGEX' })
    expect(listchecker.validate?.(regex)[0]?.message).toContain('RE2')
  })
})

describe('a list of regular expressions', () => {
  const crawlers = compileEntries(
    'REGEX',
    Array.from({ length: 1_000 }, (_, i) => `bot${i}.*crawl${i}`),
  )
  const names = Array.from({ length: 16_000 }, (_, i) => `bot${(i * 7_919) % 1_000}`)

  it('says of long values what it says of short ones', () => {
    expect([crawlers.has('bot7 crawl7'), crawlers.has('crawl7 bot7')]).toEqual([true, false])
    const padding = ' '.repeat(2_000)
    for (const value of ['bot7 crawl7', `bot7${padding}crawl7`, `${padding}bot7 crawl7`, `bot7 crawl7${padding}`]) {
      expect(crawlers.has(value)).toBe(true)
    }
    for (const value of [`crawl7${padding}bot7`, `bot7${padding}crawl8`, padding]) {
      expect(crawlers.has(value)).toBe(false)
    }
  })

  it('is not held up by a value that leads to a new state with each character', () => {
    expect(crawlers.has(names.join(' '))).toBe(false)
    expect(crawlers.has(`${names.join(' ')} crawl5`)).toBe(true)
  })
})

describe('a list of networks', () => {
  it('agrees with comparing bit by bit', () => {
    const address = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255))
    fc.assert(
      fc.property(address, fc.nat(32), address, fc.nat(31), (network, bits, base, flip) => {
        const list = compileEntries('IP_ADDRESSES', [`${network.join('.')}/${bits}`])
        const asBits = (bytes: readonly number[]) => bytes.map((byte) => byte.toString(2).padStart(8, '0')).join('')
        const near = [...network] as [number, number, number, number]
        near[flip >> 3] = (near[flip >> 3] ?? 0) ^ (1 << (7 - (flip & 7)))
        for (const asked of [base, near, network]) {
          const expected = asBits(asked).slice(0, bits) === asBits(network).slice(0, bits)
          expect(list.has(asked.join('.'))).toBe(expected)
        }
      }),
    )
  })
})

describe('reading a list', () => {
  it('leaves out empty lines and comments, and reads the YAML form of addresses', () => {
    expect(readEntries('STRINGS', '# who\n a \r\n\nb')).toEqual(['a', 'b'])
    expect(readEntries('REGEX', '#a+ \r\n')).toEqual(['#a+ '])
    expect(readEntries('IP_ADDRESSES', 'whitelist: [10.0.0.1, "::1"]\n')).toEqual(['10.0.0.1', '::1'])
    expect(() => readEntries('IP_ADDRESSES', 'whitelist: 7')).toThrow(/list of addresses/)
  })
})

describe('listchecker with a provider', () => {
  function provided(params: object = {}) {
    const clock = new ManualClock()
    const backend: { answer: () => Response | Promise<Response> } = { answer: () => new Response('a\nb\n') }
    const fetch = async (_url: unknown, init?: RequestInit) => {
      const aborted = new Promise<never>((_, reject) => {
        init?.signal?.addEventListener('abort', () => reject(new Error('aborted')))
      })
      return await Promise.race([backend.answer(), aborted])
    }
    const env = createTestEnvironment({ clock, fetch })
    const all = { providerUrl: 'http://lists.example/a?token=secret', overrides: ['mine'], ...params }
    return { clock, backend, env, ...handlerOf(all, env) }
  }

  it('has no verdict before the list is there, and serves it with the overrides afterwards', async () => {
    const { handler, ask } = provided()
    expect(() => ask('a')).toThrow(/not been loaded/)
    await handler.start?.()
    expect(ask('a').status.code).toBe(0)
    expect(ask('mine').status.code).toBe(0)
    expect(ask('c').status.code).toBe(7)
    await handler.stop?.()
  })

  it('takes over a changed list at the next refresh', async () => {
    const { handler, ask, backend, clock } = provided()
    await handler.start?.()
    backend.answer = () => new Response('c')
    await clock.advance(60_000)
    expect(ask('a').status.code).toBe(7)
    expect(ask('c').status.code).toBe(0)
    await handler.stop?.()
  })

  it.each([
    ['an error status', () => new Response('no', { status: 500 })],
    ['a redirect', () => new Response('', { status: 302, headers: { location: 'http://elsewhere' } })],
    ['a body beyond the limit', () => new Response('x'.repeat(2_000))],
    ['a broken connection', () => Promise.reject(new Error('connection reset'))],
    ['silence', () => new Promise<Response>(() => undefined)],
  ])('keeps the old list through %s until its time to live, then has no verdict', async (_name, failure) => {
    const { handler, ask, backend, clock, env } = provided({ maxBytes: 1_000 })
    await handler.start?.()
    backend.answer = failure
    await clock.advance(290_000)
    expect(ask('a').status.code).toBe(0)
    await clock.advance(11_000)
    expect(() => ask('a')).toThrow(expect.objectContaining({ code: 'BACKEND_FAILED' }))
    backend.answer = () => new Response('a')
    await clock.advance(70_000)
    expect(ask('a').status.code).toBe(0)
    expect(JSON.stringify(env.logged)).not.toContain('secret')
    await handler.stop?.()
  })

  it('refuses a list with one bad entry whole', async () => {
    const { handler, ask, backend, clock } = provided({ entryType: 'IP_ADDRESSES', overrides: [], blacklist: true })
    backend.answer = () => new Response('10.0.0.1')
    await handler.start?.()
    backend.answer = () => new Response('10.0.0.2\n10.0.0.999')
    await clock.advance(60_000)
    expect(ask('10.0.0.1').status.code).toBe(7)
    await handler.stop?.()
  })

  it('tries again soon after a failure, then ever later, and never later than the usual refresh', async () => {
    const { handler, backend, clock, env } = provided()
    backend.answer = () => Promise.reject(new Error('down'))
    await handler.start?.()
    await clock.advance(10_000)
    const early = env.fetches.length
    await clock.advance(600_000)
    expect(early).toBeGreaterThanOrEqual(4)
    expect(env.fetches.length - early).toBeLessThanOrEqual(20)
    expect(env.fetches.length - early).toBeGreaterThanOrEqual(10)
    await handler.stop?.()
    expect(clock.pending).toBe(0)
  })

  it('is refused where the list would be gone between two refreshes', () => {
    const params = { providerUrl: 'http://lists.example/', refreshInterval: '60s', ttl: '30s' }
    expect(listchecker.validate?.(listchecker.config.parse(params))[0]?.path).toEqual(['ttl'])
  })
})
