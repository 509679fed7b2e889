import { describe, expect, it } from 'vitest'
import { runCommand } from '../../src/cli/commands.ts'
import { adminPort } from './admin-port.ts'
import { testIo } from './support.ts'

async function run(...args: readonly string[]) {
  const io = testIo()
  const code = await runCommand(['quota', ...args], io)
  return { code, out: io.lines.join('\n'), errors: io.errors.join('\n') }
}

const COUNTER = {
  handler: 'limits.handler.prod',
  limit: 'per-key',
  values: { key: 'alice', plan: 'gold' },
  amount: 100,
  windowMs: 60_000,
  used: 97,
  left: 3,
  resetMs: 1_250,
}

describe('intermix quota', () => {
  it.each<[readonly string[], object]>([
    [['top'], { action: 'top', by: 'used', limit: 20 }],
    [['top', '--by', 'near', '--limit', '5', '--handler', 'h'], { action: 'top', by: 'near', limit: 5, handler: 'h' }],
    [
      ['inspect', 'h', 'q', 'key=a=b', 'plan='],
      { action: 'inspect', counter: { handler: 'h', quota: 'q', dimensions: { key: 'a=b', plan: '' } } },
    ],
    [
      ['reset', '--domain', 'shop', 'a=1', 'a=2'],
      {
        action: 'reset',
        counter: {
          domain: 'shop',
          entries: [
            { key: 'a', value: '1' },
            { key: 'a', value: '2' },
          ],
        },
      },
    ],
    [['reset', 'h', 'q', '--all', '--yes'], { action: 'resetAll', handler: 'h', quota: 'q' }],
    [['reset', 'h', '--all', '--yes'], { action: 'resetAll', handler: 'h' }],
    [['reset', '--domain', 'shop', '--all', '--yes'], { action: 'resetAll', domain: 'shop' }],
  ])('asks by %j', async (args, body) => {
    const { address, seen } = await adminPort(200, { counters: [], reset: 1 })
    expect((await run(...args, address)).code).toBe(0)
    expect(seen).toEqual([{ path: '/v1/quotas', body }])
  })

  it('shows counters as a table, or as JSON', async () => {
    const counters = [
      { ...COUNTER, asked: 120, refused: 20, holders: { 'n1-x': 7 } },
      { ...COUNTER, process: 'n1-y' },
    ]
    const { address } = await adminPort(200, { counters, reset: 2 })
    const { out } = await run('top', address)
    expect(out).toMatch(
      /limits\.handler\.prod +per-key +key=alice plan=gold +100 +60s +97 +3 +1\.3s +120 +20 +n1-x \(7\)/,
    )
    expect(out).toMatch(/key=alice plan=gold in n1-y/)
    expect(out).toContain('2 counters reset')
    expect(JSON.parse((await run('top', '--json', address)).out)).toEqual({ counters, reset: 2 })
    const none = await adminPort(200, { counters: [] })
    expect((await run('top', none.address)).out).toBe('no counter was charged lately')
  })

  it('shows long times in days and hours', async () => {
    const month = { ...COUNTER, windowMs: 2_592_000_000, resetMs: 493_864_900 }
    const { address } = await adminPort(200, {
      counters: [month, { ...COUNTER, windowMs: 5_400_000, resetMs: 86_399_999 }],
    })
    const { out } = await run('inspect', 'h', 'q', address)
    expect(out).toMatch(/ 100 +30d +97 +3 +5d17h/)
    expect(out).toMatch(/ 100 +1h30m +97 +3 +1d/)
  })

  it('shows what clients chose without letting it steer the terminal', async () => {
    const values = { key: 'a\u001b[2J\r\nb\u202ec\u009b' }
    const { address } = await adminPort(200, { counters: [{ ...COUNTER, values }] })
    const { out } = await run('top', address)
    expect(out).toContain('key=a\\u{1b}[2J\\u{d}\\u{a}b\\u{202e}c\\u{9b}')
    expect(out.trimEnd().split('\n').length).toBe(3)
  })

  it.each<[readonly string[], RegExp]>([
    [[], /top, inspect, reset/],
    [['top', 'h'], /flags only/],
    [['inspect', 'h'], /HANDLER QUOTA/],
    [['inspect', 'h', 'q', 'key'], /key: give NAME=VALUE/],
    [['inspect', 'h', 'q', '--all', '--yes'], /--all: goes with reset/],
    [['inspect', '--domain', 'd'], /KEY=VALUE/],
    [['reset', 'h', '--all'], /--yes/],
    [['reset', '--all', '--yes'], /which HANDLER/],
    [['reset', 'h', 'q', 'key=a', '--all', '--yes'], /key=a/],
  ])('exits with 2 for %j', async (args, problem) => {
    const { code, errors } = await run(...args)
    expect(code).toBe(2)
    expect(errors).toMatch(problem)
  })

  it.each([
    [404, { error: { message: 'no such handler' } }, 1],
    [404, { message: 'nothing is served here' }, 3],
    [400, { error: { message: 'key is missing' } }, 2],
    [503, { error: { message: 'Redis is away' } }, 3],
  ])('takes HTTP %i %j for exit %i', async (status, answer, code) => {
    const { address } = await adminPort(status, answer)
    expect((await run('inspect', 'h', 'q', address)).code).toBe(code)
  })
})
