// A caller cannot make a rule not apply: a match that fails is unknown, and the fail policy decides.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { Code } from '../../src/kernel/status.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'
import { explainCheck } from '../../src/policy/explain.ts'
import { ReportDispatcher } from '../../src/policy/report-dispatch.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'
import {
  type Attributes,
  goodPolicy,
  type PolicyNode,
  REFUSE,
  refusingRule,
  start,
  startPolicy,
} from './policy-node.ts'

const ADMIN = 'request.path.startsWith("/admin") && int(request.headers["x-level"]) < 5'
/** The same rule as Mixer's API has it, in CEL. */
const mixerRule = (notes: Readonly<Record<string, string>> = {}) => [
  ...[
    ['handler', 'refuse', REFUSE.handler.params, 'compiledAdapter', 'denier'],
    ['instance', 'nothing', {}, 'compiledTemplate', 'checknothing'],
  ].map(([kind, name, params, key, value]) =>
    JSON.stringify({
      apiVersion: 'config.istio.io/v1alpha2',
      kind,
      metadata: { name, namespace: 'istio-system' },
      spec: { [key as string]: value, params },
    }),
  ),
  JSON.stringify({
    apiVersion: 'config.istio.io/v1alpha2',
    kind: 'rule',
    metadata: {
      name: 'admin',
      namespace: 'istio-system',
      annotations: { 'policy.istio.io/lang': 'CEL', ...notes },
    },
    spec: { match: ADMIN, actions: [{ handler: 'refuse', instances: ['nothing'] }] },
  }),
]

const request = (level: string | undefined, path = '/admin/x'): Attributes => ({
  'request.path': path,
  'request.headers': new Map(level === undefined ? [] : [['x-level', level]]),
})

async function answer(node: PolicyNode, attributes: Attributes) {
  const { status, validForMs, tier } = (await node.check(attributes)).answer
  return { code: status.code, message: status.message, isKept: validForMs > 0, tier }
}

describe('a match that a caller makes fail', () => {
  it('denies where the fail policy is closed, says where and not with what, and is not kept', async () => {
    const node = await start(refusingRule('admin', ADMIN))
    for (let i = 0; i < 2; i++) {
      expect(await answer(node, request('secret'))).toEqual({
        code: Code.PERMISSION_DENIED,
        message: 'admin.rule.istio-system:match: int(request.headers["x-level"]) cannot be evaluated',
        isKept: false,
        tier: 'backend',
      })
    }
    expect(node.meter.value('rule_match_failures_total', 'admin.rule.istio-system', 'failed')).toBe(2)
    expect(node.meter.value('unknown_verdicts_total', 'admin.rule.istio-system', 'closed')).toBe(2)
    expect(await answer(node, request('3'))).toMatchObject({
      code: Code.PERMISSION_DENIED,
      message: expect.stringContaining('refused'),
    })
    expect(await answer(node, request('7'))).toMatchObject({ code: Code.OK, isKept: true })
    expect(await answer(node, request('secret', '/shop'))).toMatchObject({ code: Code.OK, isKept: true })
  })

  it('is passed over where the fail policy is open, and the answer is not kept', async () => {
    const node = await start(refusingRule('admin', ADMIN, { failPolicy: 'open' }))
    expect(await answer(node, request('one'))).toMatchObject({ code: Code.OK, isKept: false })
    expect(node.meter.value('unknown_verdicts_total', 'admin.rule.istio-system', 'open')).toBe(1)
  })

  it('does not keep other rules from denying, nor header operations from being applied', async () => {
    const header = { requestHeaderOperations: [{ name: 'x-a', values: ['"a"'] }], actions: [] }
    const open = refusingRule('b', ADMIN, { failPolicy: 'open' })
    const denying = await start(refusingRule('a', 'request.path == "/admin/x"'), open)
    expect(await answer(denying, request('one'))).toMatchObject({ code: Code.PERMISSION_DENIED })
    const adding = await start(open, refusingRule('c', 'request.path == "/admin/x"', header))
    expect((await adding.check(request('one'))).answer.requestHeaders).toHaveLength(1)
  })

  it('leaves out a rule with header operations alone only where its fail policy is open', async () => {
    const header = { requestHeaderOperations: [{ name: 'x-a', values: ['"a"'] }], actions: [] }
    const closed = await start(refusingRule('c', ADMIN, header))
    expect(await answer(closed, request('one'))).toMatchObject({ code: Code.PERMISSION_DENIED })
    const open = await start(refusingRule('c', ADMIN, { ...header, failPolicy: 'open' }))
    expect((await open.check(request('one'))).answer).toMatchObject({ status: { code: Code.OK }, requestHeaders: [] })
  })

  it('is no match under the API of Mixer, unless told', async () => {
    const asMixer = await start(...mixerRule())
    expect(await answer(asMixer, request('one'))).toMatchObject({ code: Code.OK, isKept: true })
    expect(asMixer.meter.value('rule_match_failures_total', 'admin.rule.istio-system', 'failed')).toBe(1)
    const told = await start(...mixerRule({ 'policy.intermix.dev/matchFailure': 'unknown' }))
    expect(await answer(told, request('one'))).toMatchObject({ code: Code.PERMISSION_DENIED, isKept: false })
    const own = await start(refusingRule('admin', ADMIN, { matchFailure: 'noMatch' }))
    expect(await answer(own, request('one'))).toMatchObject({ code: Code.OK, isKept: true })
  })

  it('is told by validate where the rule then does not apply', () => {
    const warnings = (...documents: string[]) =>
      goodPolicy(...documents)
        .warnings.filter(({ code }) => code === 'may-fail')
        .map(({ message }) => message)
    expect(warnings(...mixerRule())).toEqual([
      'a caller can make this fail: int(request.headers["x-level"]) fails where the text is not a number in range, ' +
        'and the rule does not apply then: with "matchFailure: unknown" its failPolicy decides.',
    ])
    expect(warnings(refusingRule('admin', ADMIN, { failPolicy: 'open' }))).toHaveLength(1)
    expect(warnings(refusingRule('admin', ADMIN))).toEqual([])
    expect(warnings(...mixerRule({ 'policy.intermix.dev/matchFailure': 'unknown' }))).toEqual([])
  })

  it('is explained', async () => {
    const node = await start(
      refusingRule('admin', ADMIN),
      refusingRule('user', 'request.headers["x-user"].startsWith("a")'),
    )
    const verdicts = { get: () => ({ error: new Error('not asked') as never }) }
    const explain = async (level: string) =>
      await explainCheck(node.state(), MapBag.of(request(level)), 1_000, { clock: node.clock, verdicts })
    expect(await explain('one')).toMatchObject({
      rules: [
        {
          matched: 'unknown',
          failPolicy: 'closed',
          because: `match failed: type conversion error from 'string' 'one' to 'int' (at int(request.headers["x-level"]))`,
        },
        { matched: false, because: "no such key: 'x-user'" },
      ],
    })
  })

  it('only counts in shadow mode', async () => {
    const node = await start(refusingRule('admin', ADMIN, { mode: 'shadow' }))
    expect(await answer(node, request('one'))).toMatchObject({ code: Code.OK, isKept: true })
    await Promise.resolve()
    expect(node.meter.value('rule_match_failures_total', 'admin.rule.istio-system', 'failed')).toBe(1)
    expect(node.meter.value('shadow_verdicts_total', 'admin.rule.istio-system', 'unknown')).toBe(1)
  })
})

describe('what is absent', () => {
  it('does not match, and that is kept', async () => {
    const node = await start(refusingRule('admin', ADMIN))
    expect(await answer(node, request(undefined))).toMatchObject({ code: Code.OK, isKept: true })
    expect(await answer(node, { 'request.path': '/admin/x' })).toMatchObject({ code: Code.OK, isKept: true })
    expect(node.meter.value('rule_match_failures_total', 'admin.rule.istio-system', 'failed')).toBe(0)
  })

  it('in an instance denies and says what is missing, unless the fail policy is open', async () => {
    const check = { handler: { adapter: 'listchecker', params: { overrides: ['ann'] } } }
    const instances = [{ name: 'user-check', template: 'listentry', params: { value: 'request.headers["x-user"]' } }]
    const documents = (failPolicy: string) =>
      refusingRule('user', 'true', { failPolicy, actions: [{ ...check, instances }] })
    const closed = await start(documents('closed'))
    expect(await answer(closed, request('3'))).toMatchObject({
      code: Code.PERMISSION_DENIED,
      message: 'user-1.handler.istio-system:user-check.instance.istio-system: request.headers["x-user"] is missing',
      isKept: false,
    })
    const open = await start(documents('open'))
    expect(await answer(open, request('3'))).toMatchObject({ code: Code.OK, isKept: false })
  })
})

describe('a quota whose match fails', () => {
  const limit = (failPolicy: string) =>
    refusingRule('limit', 'int(request.headers["x-level"]) < 5', {
      failPolicy,
      actions: [
        {
          handler: {
            adapter: 'memquota',
            params: { quotas: [{ name: 'calls', maxAmount: 2, validDuration: '60s' }] },
          },
          instances: [{ name: 'calls', template: 'quota' }],
        },
      ],
    })
  const ask = async (node: PolicyNode, level: string | undefined) => {
    const quotas = new Map([['calls', { amount: 1_000, bestEffort: true }]])
    const outcome = await node.check(request(level), { quotas })
    return { code: outcome.answer.status.code, granted: outcome.quotas.get('calls')?.granted }
  }

  it('grants nothing, and leaves the check itself to other rules', async () => {
    const node = await start(limit('closed'))
    expect(await ask(node, '1')).toEqual({ code: Code.OK, granted: 2 })
    expect(await ask(node, 'one')).toEqual({ code: Code.OK, granted: 0 })
    expect(await ask(node, undefined)).toEqual({ code: Code.OK, granted: 1_000 })
  })

  it('is charged where the fail policy is open: whoever makes a match fail lifts no limit', async () => {
    const node = await start(limit('open'))
    expect(await ask(node, 'one')).toEqual({ code: Code.OK, granted: 2 })
    expect(await ask(node, 'one')).toEqual({ code: Code.OK, granted: 0 })
  })
})

describe('a generator whose match fails', () => {
  it('gives what is unknown, and is counted', async () => {
    const node = await start(
      refusingRule('pods', 'int(request.headers["x-level"]) < 5', {
        actions: [
          {
            handler: { adapter: 'pods' },
            instances: [
              {
                template: 'kubernetes',
                params: { source_ip: 'source.ip' },
                attributeBindings: { 'source.namespace': '$out.source_namespace' },
              },
            ],
          },
        ],
      }),
      refusingRule('shop', 'source.namespace == "shop"'),
    )
    const of = async (level: string) =>
      (await answer(node, { ...request(level), 'source.ip': new Uint8Array([10, 0, 0, 1]) })).code
    expect(await of('1')).toBe(Code.PERMISSION_DENIED)
    expect(await of('one')).toBe(Code.PERMISSION_DENIED)
    expect(node.meter.value('unknown_verdicts_total', 'shop.rule.istio-system', 'closed')).toBe(1)
    expect(node.meter.value('attribute_generation_failures_total')).toBe(1)
  })
})

describe('a report whose match fails', () => {
  it('is not made, is counted, and is logged once in a while', async () => {
    const node = await start(
      refusingRule('log', 'int(request.headers["x-level"]) < 5', {
        actions: [
          {
            handler: { adapter: 'stdio' },
            instances: [{ name: 'line', template: 'logentry', params: { variables: { a: 'request.headers["x-a"]' } } }],
          },
        ],
      }),
    )
    const [log, meter] = [new KeptLog(), new ReadableMeter()]
    const dispatcher = new ReportDispatcher({ clock: node.clock, random: () => 0, log, meter })
    const dispatch = async (level: string) => await dispatcher.dispatch(node.state(), MapBag.of(request(level)))
    for (let i = 0; i < 3; i++) expect(await dispatch('one')).toEqual([])
    expect(await dispatch('1')).toMatchObject([{ instance: undefined }])
    expect(meter.value('report_rule_match_failures_total', 'log.rule.istio-system', 'failed')).toBe(3)
    expect(meter.value('report_instance_failures_total', 'line.instance.istio-system', 'absent')).toBe(1)
    const warnings = () => log.lines.filter((line) => line.startsWith('warn'))
    expect(warnings()).toHaveLength(2)
    expect(warnings().join()).not.toContain('one')
    await node.clock.advance(60_000)
    await dispatch('one')
    expect(warnings()).toHaveLength(3)
  })
})

describe('the step budget', () => {
  it('makes a check end whatever its headers are, as unknown, and is counted', async () => {
    const source = 'request.headers.exists(a, request.headers.exists(b, a == b + "x"))'
    const node = await start(refusingRule('twice', source))
    const headers = new Map(Array.from({ length: 4_000 }, (_, i) => [`x-${i}`, 'v'] as const))
    expect(await answer(node, { 'request.headers': headers })).toMatchObject({
      code: Code.PERMISSION_DENIED,
      message: 'twice.rule.istio-system:match: request.headers.exists(b, a == b + "x") takes too many steps',
      isKept: false,
    })
    expect(node.meter.value('rule_match_failures_total', 'twice.rule.istio-system', 'exhausted')).toBe(1)
    expect(await answer(node, { 'request.headers': new Map([['a', 'v']]) })).toMatchObject({ code: Code.OK })
  })

  it('is shared by the rules of a check, but for those that take no steps', async () => {
    const slow = Array.from({ length: 400 }, (_, i) =>
      refusingRule(`slow${i}`, `request.path.matches("(users|orders${i})/[0-9]+$")`, { failPolicy: 'open' }),
    )
    const node = await start(...slow, refusingRule('zz', 'request.path.startsWith("/admin")'))
    expect(await answer(node, request('1', '/users/7'))).toMatchObject({ code: Code.PERMISSION_DENIED })
    expect(await answer(node, request('1', '/users/x'))).toMatchObject({ code: Code.OK, isKept: true })
    const failures = () => slow.filter((_, i) => exhausted(`slow${i}`) > 0).length
    const exhausted = (name: string) =>
      node.meter.value('rule_match_failures_total', `${name}.rule.istio-system`, 'exhausted')
    expect(failures()).toBe(0)
    expect(await answer(node, request('1', `/users/${'users/'.repeat(20_000)}`))).toMatchObject({ code: Code.OK })
    expect(failures()).toBeGreaterThan(300)
    expect(await answer(node, request('1', `/admin/${'users/'.repeat(20_000)}`))).toMatchObject({
      code: Code.PERMISSION_DENIED,
    })
    expect(exhausted('zz')).toBe(0)
  })
})

describe('a bound of ours', () => {
  const words = Array.from({ length: 60 }, (_, i) => `word${i}[a-z]*`).join('|')
  const deep = 'request.headers.exists(a, request.headers.exists(b, a == b + "x"))'

  it.each([
    ['CEL', `request.path.matches("^/(admin|${words})/")`],
    ['CEL', `int(request.headers["x-level"]) < 5 || request.path.matches("^/(admin|${words})/")`],
    ['CEXL', `"^/(admin|${words})/".matches(request.path)`],
  ])('does not keep a rule of Mixer from applying: %s %s', async (lang, match) => {
    const node = await start(refusingRule('admin', match, { lang, matchFailure: 'noMatch' }))
    const short = await answer(node, request('7', '/admin/x'))
    expect(short).toMatchObject({ code: Code.PERMISSION_DENIED, message: expect.stringContaining('refused') })
    const long = await answer(node, request('one', `/admin/${'x'.repeat(100_000)}`))
    expect(long).toMatchObject({ code: Code.PERMISSION_DENIED, isKept: false })
    expect(node.meter.value('rule_match_failures_total', 'admin.rule.istio-system', 'exhausted')).toBe(1)
  })

  it('is told by validate where the rule is passed over then', () => {
    const warnings = (more: object) =>
      goodPolicy(refusingRule('deep', deep, more))
        .warnings.filter(({ code }) => code === 'may-exhaust')
        .map(({ message }) => message)
    expect(warnings({ matchFailure: 'noMatch' })).toEqual([])
    expect(warnings({ failPolicy: 'open' })).toEqual([
      `a caller can make this fail: ${deep} takes more than 100000 steps where maps are large, ` +
        'and the rule is passed over then: its failPolicy is "open".',
    ])
  })
})

describe('maps of strings in CEL', () => {
  it('have a size and are equal or not, entry by entry', async () => {
    const node = await start(
      refusingRule('many', 'size(request.headers) > 1', { failPolicy: 'open' }),
      refusingRule('same', 'source.labels == request.headers', { failPolicy: 'open' }),
    )
    const code = async (headers: Record<string, string>, labels: Record<string, string>) => {
      const attributes = {
        'request.headers': new Map(Object.entries(headers)),
        'source.labels': new Map(Object.entries(labels)),
      }
      return (await answer(node, attributes)).code
    }
    expect(await code({ a: '1' }, {})).toBe(Code.OK)
    expect(await code({ a: '1', b: '2' }, {})).toBe(Code.PERMISSION_DENIED)
    expect(await code({ a: '1' }, { a: '1' })).toBe(Code.PERMISSION_DENIED)
    expect(await code({ a: '1' }, { a: '2' })).toBe(Code.OK)
    expect(await code({ a: '1' }, { b: '1' })).toBe(Code.OK)
  })
})

/** Matches of which parts can fail, with terms that an index uses. */
const terms = fc.constantFrom(
  'request.path == "/a"',
  'request.path == "/b"',
  'request.method == "GET"',
  'request.headers["x-level"] == "1"',
  'int(request.headers["x-level"]) < 5',
  '10 / int(request.headers["x-level"]) < 5',
  'request.headers["x-user"] == "ann"',
  'request.headers["x-user"].startsWith("a")',
  'ip(request.headers["x-user"]) == source.ip',
  'size(request.headers) > 1',
)
const matches = fc
  .tuple(fc.array(terms, { minLength: 1, maxLength: 4 }), fc.constantFrom(' && ', ' && ', ' || '))
  .map(([parts, operator]) => parts.join(operator))
const wrongly = (right: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 9, arbitrary: right }, { weight: 1, arbitrary: fc.constant(5n) })
const requests = fc
  .record(
    {
      'request.path': wrongly(fc.constantFrom('/a', '/b', '/c')),
      'request.method': wrongly(fc.constantFrom('GET', 'PUT')),
      'request.headers': wrongly(
        fc
          .dictionary(fc.constantFrom('x-level', 'x-user'), fc.constantFrom('0', '1', '7', 'ann', '1.2.3.4'))
          .map((entries) => new Map(Object.entries(entries))),
      ),
    },
    { requiredKeys: [] },
  )
  .map(
    (values) =>
      Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Record<
        string,
        AttributeValue
      >,
  )

describe('rules with failures', () => {
  it('give one answer, whether found by an index or evaluated one by one, kept or not', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(matches, fc.constantFrom('open', 'closed'), fc.constantFrom('unknown', 'noMatch')), {
          minLength: 8,
          maxLength: 10,
        }),
        fc.array(requests, { minLength: 10, maxLength: 15 }),
        async (texts, bags) => {
          const rules = texts.map(([match, failPolicy, matchFailure], i) =>
            refusingRule(`r${String(i).padStart(2, '0')}`, match, { failPolicy, matchFailure }),
          )
          const all = await start(...rules)
          const alone = await Promise.all(rules.map(async (text) => await startPolicy(goodPolicy(text), false)))
          for (const bag of [...bags, ...bags]) {
            const single = await Promise.all(alone.map(async (node) => await answer(node, bag)))
            const told = await answer(all, bag)
            const denied = single.filter(({ code }) => code !== Code.OK)
            expect(told.message).toBe(denied.map(({ message }) => message).join(', '))
            expect(told.isKept || told.tier === 'local').toBe(single.every(({ isKept }) => isKept))
          }
          await Promise.all(alone.map(async (node) => await node.stop()))
        },
      ),
      { numRuns: 15 },
    )
  })
})
