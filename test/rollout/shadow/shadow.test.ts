import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { RuleSelector } from '../../../src/config/rule-index.ts'
import { atOnce } from '../../../src/config/slices.ts'
import type { CheckObserver } from '../../../src/policy/check-observer.ts'
import { Masking } from '../../../src/rollout/masking.ts'
import { DryHandlers } from '../../../src/rollout/shadow/dry-handlers.ts'
import { Shadow } from '../../../src/rollout/shadow/shadow.ts'
import { type Attributes, far, goodPolicy, refusingRule, startNode } from '../../policy/policy-node.ts'

/** A node that runs one config with another one in its shadow. */
async function shadowed(stable: readonly string[], candidate: readonly string[], answers = true) {
  const seen: { shadow?: Shadow } = {}
  const observer: CheckObserver = {
    answered: ({ bag, state: { rules } }, answer) => seen.shadow?.offer({ bag, answer, rules }),
    undecided: () => undefined,
    failed: () => undefined,
  }
  const node = await startNode(goodPolicy(...stable), answers, observer)
  const { clock } = node
  const handlers = new DryHandlers({
    clock,
    random: () => 0.5,
    cached: (handler, instance, bag) => node.verdicts.peek(handler, instance, bag),
  })
  const rules = atOnce(RuleSelector.build(goodPolicy(...candidate)))
  const shadow = new Shadow({ clock, meter: node.meter, masking: new Masking(), candidate: rules, handlers })
  seen.shadow = shadow
  onTestFinished(() => shadow.close())
  return {
    node,
    /** Asks for each, and lets the shadow come to its conclusions. */
    ask: async (...requests: readonly Attributes[]) => {
      const codes: number[] = []
      for (const attributes of requests) {
        codes.push((await node.check(attributes)).answer.status.code)
        await clock.advance(1)
      }
      return codes
    },
    findings: () => shadow.findings(),
    flips: () => shadow.findings().flips.map(({ from, to, rule, count }) => `${from}→${to}: ${count}, by ${rule}`),
  }
}

const ADMIN = refusingRule('deny-admin', 'request.path.startsWith("/admin")')
const STRICT = refusingRule('deny-admin', 'request.path.startsWith("/a")')

describe('two versions of a config on the same requests', () => {
  it('say the same where their rules do', async () => {
    const { ask, findings } = await shadowed([ADMIN], [ADMIN, refusingRule('other', 'request.path == "/nowhere"')])
    await ask({ 'request.path': '/admin' }, { 'request.path': '/' })
    expect(findings()).toEqual({ pairs: 2, incomparable: 0, skipped: 0, failed: 0, flips: [] })
  })

  it('are told apart by the rule that makes the difference', async () => {
    const { ask, flips, findings } = await shadowed([ADMIN], [STRICT])
    await ask(
      { 'request.path': '/a' },
      { 'request.path': '/admin' },
      { 'request.path': '/apple' },
      { 'request.path': '/' },
    )
    expect(flips()).toEqual(['allow→deny: 2, by deny-admin.rule.istio-system'])
    expect(findings().flips[0]?.examples[0]).toBe('{"request.path":"/a"}')
  })

  it('are told apart by the rule that denies no more', async () => {
    const { ask, flips } = await shadowed(
      [ADMIN, refusingRule('b', 'true')],
      [refusingRule('b', 'request.path == "/b"')],
    )
    await ask({ 'request.path': '/admin' }, { 'request.path': '/b' })
    expect(flips()).toEqual(['deny→allow: 1, by b.rule.istio-system'])
  })

  it('are told apart where one cannot be evaluated', async () => {
    const { ask, flips } = await shadowed([], [refusingRule('port', 'int(request.headers["port"]) > 1')])
    await ask({ 'request.headers': new Map([['port', 'x']]) })
    expect(flips()).toEqual(['allow→unknown: 1, by port.rule.istio-system'])
  })

  it('are compared when whole answers are given again, too', async () => {
    const { ask, flips } = await shadowed([ADMIN], [STRICT])
    await ask({ 'request.path': '/a' }, { 'request.path': '/a' }, { 'request.path': '/a' })
    expect(flips()).toEqual(['allow→deny: 3, by deny-admin.rule.istio-system'])
  })

  it('show no secrets in examples', async () => {
    const { ask, findings } = await shadowed([], [refusingRule('all', 'true')])
    await ask({ 'request.headers': new Map([['authorization', 'Bearer s3cret']]), 'request.path': '/?token=s3cret' })
    expect(findings().flips[0]?.examples[0]).toContain('secret-')
    expect(JSON.stringify(findings())).not.toContain('s3cret')
  })
})

describe('handlers of a shadow', () => {
  const list = (name: string, entries: readonly string[]) =>
    JSON.stringify({
      apiVersion: 'intermix.dev/v1',
      kind: 'rule',
      metadata: { name },
      spec: {
        actions: [
          {
            handler: { adapter: 'listchecker', params: { overrides: entries, blacklist: true } },
            instances: [{ template: 'listentry', params: { value: 'request.path' } }],
          },
        ],
      },
    })

  it('are computed where they need no backend', async () => {
    const { ask, flips } = await shadowed([list('paths', ['/a'])], [list('paths', ['/b'])])
    await ask({ 'request.path': '/a' }, { 'request.path': '/b' }, { 'request.path': '/c' })
    expect(flips().toSorted()).toEqual([
      'allow→deny: 1, by paths.rule.istio-system',
      'deny→allow: 1, by paths.rule.istio-system',
    ])
  })

  const asking = (name: string, match: string) =>
    JSON.stringify({
      apiVersion: 'intermix.dev/v1',
      kind: 'rule',
      metadata: { name },
      spec: {
        match,
        actions: [
          {
            handler: { adapter: 'far', params: {} },
            instances: [{ template: 'listentry', params: { value: 'request.path' } }],
          },
        ],
      },
    })

  it('are never asked where they have a backend: what they said for the live version is taken', async () => {
    const candidate = [asking('ask', 'request.path != "/skip"'), refusingRule('strict', 'request.path == "/strict"')]
    const { ask, flips, findings } = await shadowed([asking('ask', 'true')], candidate, false)
    const before = far.calls
    const codes = await ask({ 'request.path': '/no' }, { 'request.path': '/yes' }, { 'request.path': '/strict' })
    await ask({ 'request.path': '/skip' }, { 'request.path': '/no' })
    expect(codes).toEqual([7, 0, 0])
    expect(far.calls).toBe(before + 4)
    expect(flips()).toEqual(['allow→deny: 1, by strict.rule.istio-system'])
    expect(findings()).toMatchObject({ pairs: 5, incomparable: 0 })
  })

  it('that the live version does not have make a request incomparable', async () => {
    const { ask, findings } = await shadowed([], [asking('ask', 'true')])
    const before = far.calls
    await ask({ 'request.path': '/a' })
    expect(findings()).toMatchObject({ pairs: 0, incomparable: 1 })
    expect(far.calls).toBe(before)
  })

  it('that come after the one that denied are not known', async () => {
    const stable = [refusingRule('a', 'request.path == "/a"'), asking('b', 'true')]
    const { ask, findings } = await shadowed(stable, [asking('b', 'true')])
    await ask({ 'request.path': '/a' })
    // Both ask the same, and what it said is cached.
    expect(findings()).toMatchObject({ pairs: 1, incomparable: 0 })
  })
})

describe('the budget of a shadow', () => {
  it('bounds what waits, and counts what is left out', async () => {
    const { node, findings } = await shadowed([ADMIN], [STRICT])
    for (let n = 0; n < 100; n++) await node.check({ 'request.path': '/a' })
    expect(findings()).toMatchObject({ pairs: 0, skipped: 36 })
    await node.clock.advance(1_000)
    expect(findings()).toMatchObject({ pairs: 64, skipped: 36 })
  })
})

describe('against the real engine', () => {
  it('a shadow says of each request what a node of the candidate says', async () => {
    const paths = fc.constantFrom('/a', '/admin', '/b', '/c?x=y', '')
    const match = fc.constantFrom(
      'request.path == "/a"',
      'request.path.startsWith("/a")',
      'int(request.headers["n"]) > 3',
      'request.headers["n"] == "x" && request.path != "/b"',
    )
    const rules = fc.array(fc.record({ match, failPolicy: fc.constantFrom('open', 'closed') }), { maxLength: 3 })
    const requests = fc.array(fc.record({ path: paths, n: fc.constantFrom('1', '9', 'x') }), {
      minLength: 1,
      maxLength: 6,
    })
    const policy = (list: readonly { match: string; failPolicy: string }[]) =>
      list.map(({ match: when, failPolicy }, n) => refusingRule(`r${n}`, when, { failPolicy }))
    await fc.assert(
      fc.asyncProperty(rules, rules, requests, async (stable, candidate, asked) => {
        const { ask, findings } = await shadowed(policy(stable), policy(candidate))
        const other = await startNode(goodPolicy(...policy(candidate)))
        let flipped = 0
        for (const { path, n } of asked) {
          const attributes = { 'request.path': path, 'request.headers': new Map([['n', n]]) }
          const [code = 0] = await ask(attributes)
          const { answer } = await other.check(attributes)
          if ((answer.status.code === 0) !== (code === 0)) flipped++
        }
        const { pairs, flips } = findings()
        expect(pairs).toBe(asked.length)
        const counted = flips.filter(({ from, to }) => (from === 'allow') !== (to === 'allow'))
        expect(counted.reduce((sum, { count }) => sum + count, 0)).toBe(flipped)
      }),
      { numRuns: 40 },
    )
  })
})
