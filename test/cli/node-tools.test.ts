import { describe, expect, it } from 'vitest'
import { runCommand } from '../../src/cli/commands.ts'
import { adminPort } from './admin-port.ts'
import { type TestIo, testIo } from './support.ts'

const runExplain = (args: readonly string[], io: TestIo) => runCommand(['explain', ...args], io)
const runRevoke = (args: readonly string[], io: TestIo) => runCommand(['revoke', ...args], io)

describe('intermix explain', () => {
  it('sends the attributes and prints what the node explains', async () => {
    const { address, seen } = await adminPort(200, { rules: [{ name: 'deny.rule.default' }] })
    const io = testIo()
    expect(await runExplain([address, '--attributes={"a":1}', '-a', 'b=2'], io)).toBe(0)
    expect(seen).toEqual([{ path: '/v1/explain?limit=100', body: { attributes: { a: 1, b: '2' } } }])
    expect(JSON.parse(io.lines.join('\n'))).toEqual({ rules: [{ name: 'deny.rule.default' }] })
  })

  it('asks for one rule, and for no more than a limit', async () => {
    const { address, seen } = await adminPort(200, {})
    expect(await runExplain([address, '--rule=deny.rule.shop', '--limit=7'], testIo())).toBe(0)
    expect(seen).toEqual([{ path: '/v1/explain?limit=7&rule=deny.rule.shop', body: { attributes: {} } }])
  })

  it('asks whether it is the admin port where there is no such path', async () => {
    const { address } = await adminPort(404, { message: 'nothing is served here' })
    const io = testIo()
    expect(await runExplain([address], io)).toBe(3)
    expect(io.errors.join()).toMatch(/nothing is served here.*is http:.* the admin port \(--admin\)/)
  })

  it('exits with 3 when the node refuses and with 2 for wrong arguments', async () => {
    const { address } = await adminPort(400, { message: 'no such attribute' })
    const io = testIo()
    expect(await runExplain([address], io)).toBe(3)
    expect(io.errors.join()).toContain('no such attribute')
    expect(await runExplain(['extra', '-a', 'x'], io)).toBe(2)
  })
})

describe('intermix revoke', () => {
  it.each([
    [['-a', 'source.user=eve=x'], { kind: 'attribute', name: 'source.user', value: 'eve=x' }],
    [
      ['-a', 'request.headers[x-user]=eve'],
      { kind: 'attribute', name: 'request.headers', key: 'x-user', value: 'eve' },
    ],
    [['--handler', 'a.handler.b'], { kind: 'handler', handler: 'a.handler.b' }],
    [['--all'], { kind: 'all' }],
  ])('voids verdicts by %j', async (args, target) => {
    const { address, seen } = await adminPort(200, {
      sequence: 4,
      confirmed: ['n1', 'n2'],
      unconfirmed: [],
      boundMs: 0,
    })
    const io = testIo()
    expect(await runRevoke([address, ...args], io)).toBe(0)
    expect(seen).toEqual([{ path: '/v1/revocations', body: target }])
    expect(io.lines).toEqual(['revocation 4 is confirmed by 2 of 2 nodes'])
  })

  it.each([[[]], [['--all', '--handler=a']], [['-a', 'x']], [['--all', 'extra']]])(
    'exits with 2 for %j',
    async (args) => {
      const io = testIo()
      expect(await runRevoke(args, io)).toBe(2)
      expect(io.errors).toHaveLength(1)
    },
  )

  it('exits with 3 and names the nodes that have not confirmed', async () => {
    const { address } = await adminPort(202, { sequence: 4, confirmed: ['n1'], unconfirmed: ['n2'], boundMs: 5000 })
    const io = testIo()
    expect(await runRevoke([address, '--all'], io)).toBe(3)
    expect(io.errors.join()).toContain('not confirmed by n2')
  })

  it('writes names of sidecars so that no terminal obeys them', async () => {
    const callers = ['\u001b[2J\nall is well']
    const counts = { confirmed: 1, unconfirmed: 0, silent: 0, callers: 1 }
    const { address } = await adminPort(202, { sequence: 4, counts, confirmed: ['n1'], callers, boundMs: 32_000 })
    const io = testIo()
    expect(await runRevoke([address, '--all'], io)).toBe(3)
    expect(io.errors.join()).toContain('sidecars \\u{1b}[2J\\u{a}all is well;')
  })

  it('exits with 3 and names sidecars that have not confirmed', async () => {
    const counts = { confirmed: 1, unconfirmed: 0, silent: 0, callers: 30 }
    const callers = ['s1 (at node n1)', 's2 (at node n1)']
    const { address } = await adminPort(202, { sequence: 4, counts, confirmed: ['n1'], callers, boundMs: 32_000 })
    const io = testIo()
    expect(await runRevoke([address, '--all'], io)).toBe(3)
    expect(io.errors).toEqual([
      'intermix revoke: not confirmed by the sidecars s1 (at node n1), s2 (at node n1) and 28 more; ' +
        'they serve the old verdict for 32000 ms at most',
    ])
  })

  it('exits with 3 when the nodes could not be told', async () => {
    const { address } = await adminPort(503, { message: 'Redis is out of reach' })
    const io = testIo()
    expect(await runRevoke([address, '--all'], io)).toBe(3)
    expect(io.lines).toEqual([])
  })
})
