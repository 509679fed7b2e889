// A query parameter that servers read differently decides nothing: what reads it is unknown, and the fail policy decides.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { Code } from '../../src/kernel/status.ts'
import { explainCheck } from '../../src/policy/explain.ts'
import { NormalizingCheck } from '../../src/policy/normalizing-check.ts'
import { NormalRequestBag } from '../../src/wire/normal-request-bag.ts'
import { ReadableMeter } from '../redis/support.ts'
import { goodPolicy, type PolicyNode, refusingRule, start, startNode } from './policy-node.ts'

const DEBUG = 'request.query_params["debug"] == "1"'
async function check(node: PolicyNode, path: string) {
  const service = new NormalizingCheck({ check: node.engine, allowed: new Set(), meter: new ReadableMeter() })
  const { answer } = await service.check(MapBag.of({ 'request.path': path, 'request.method': 'GET' }), {
    timeoutMs: 1_000,
  })
  const { status, validForMs, tier, referenced, requestHeaders } = answer
  return { code: status.code, message: status.message, isKept: validForMs > 0, tier, referenced, requestHeaders }
}

describe('a parameter with two values', () => {
  it('denies where the fail policy is closed, says where, and shares no answer with others', async () => {
    const node = await start(refusingRule('debug', DEBUG))
    for (const kept of ['/?debug=0', '/?debug=2&a', '/', '/?debug=0&debug=0&%64ebug=%30']) {
      expect(await check(node, kept)).toMatchObject({ code: Code.OK, isKept: true })
    }
    for (const path of ['/?debug=0&debug=1', '/?debug=0&%64ebug=1', '/?debug=0&debug=1', '/?debug=1&debug=0']) {
      expect(await check(node, path)).toMatchObject({
        code: Code.PERMISSION_DENIED,
        message:
          'debug.rule.istio-system:match: request.query_params["debug"] is ambiguous: servers read it differently',
        isKept: false,
        tier: 'backend',
      })
    }
    expect(node.meter.value('rule_match_failures_total', 'debug.rule.istio-system', 'ambiguous')).toBe(4)
    expect(await check(node, '/?debug=0')).toMatchObject({ code: Code.OK, tier: 'local' })
    expect(await check(node, '/?debug=1')).toMatchObject({
      code: Code.PERMISSION_DENIED,
      message: expect.stringContaining('refused') as string,
    })
  })

  it('is no matter where nothing reads it', async () => {
    const node = await start(refusingRule('debug', DEBUG))
    const list = { code: Code.OK, isKept: true }
    expect(await check(node, '/?id=1&id=2')).toMatchObject(list)
    expect(await check(node, '/?id=1;x&id=2')).toMatchObject({ ...list, tier: 'local' })
  })

  it('is passed over where the fail policy is open', async () => {
    const node = await start(refusingRule('debug', DEBUG, { failPolicy: 'open' }))
    expect(await check(node, '/?debug=0&debug=1')).toMatchObject({ code: Code.OK, isKept: false })
  })

  it("does not make a rule not apply, whatever the rule's matchFailure and other terms that fail", async () => {
    const node = await start(
      refusingRule('debug', `${DEBUG} || int(request.query_params["level"]) > 3`, { matchFailure: 'noMatch' }),
    )
    expect(await check(node, '/?debug=0&level=x')).toMatchObject({ code: Code.OK })
    expect(await check(node, '/?debug=0&debug=1&level=x')).toMatchObject({ code: Code.PERMISSION_DENIED })
    expect(await check(node, '/?level=x&debug=0&debug=1')).toMatchObject({ code: Code.PERMISSION_DENIED })
  })

  it('is found by an index, and ruled out by other terms only', async () => {
    const values = ['1', '2', '3', '4', '5', '6', '7', '8']
    const rules = values.map((value) =>
      refusingRule(`debug${value}`, `request.query_params["debug"] == "${value}" && request.method == "GET"`),
    )
    const node = await start(...rules, refusingRule('put', `request.method == "PUT" && ${DEBUG}`))
    expect((await check(node, '/?debug=9')).code).toBe(Code.OK)
    const { code, message } = await check(node, '/?debug=9&debug=1')
    expect(code).toBe(Code.PERMISSION_DENIED)
    expect(message.match(/is ambiguous/g)).toHaveLength(values.length)
  })

  it('is there, whatever it is', async () => {
    const node = await start(refusingRule('debug', '"debug" in request.query_params'))
    expect(await check(node, '/?debug=0&debug=1')).toMatchObject({
      code: Code.PERMISSION_DENIED,
      message: expect.stringContaining('refused') as string,
    })
    expect(await check(node, '/?a=1&a=2')).toMatchObject({ code: Code.OK, isKept: true })
    expect(await check(node, '/?a=1;debug=1')).toMatchObject({
      code: Code.PERMISSION_DENIED,
      message: expect.stringContaining('ambiguous') as string,
    })
  })

  it('keeps an instance from being filled', async () => {
    const params = { value: 'pick(request.query_params["debug"], "x")' }
    const handler = { adapter: 'listchecker', params: { overrides: ['0', 'x'] } }
    const actions = [{ handler, instances: [{ name: 'it', template: 'listentry', params }] }]
    const node = await start(refusingRule('list', 'true', { actions }))
    expect(await check(node, '/?debug=0')).toMatchObject({ code: Code.OK })
    expect(await check(node, '/?debug=0&debug=1')).toMatchObject({
      code: Code.PERMISSION_DENIED,
      message: expect.stringContaining('is ambiguous') as string,
      isKept: false,
    })
    expect(await check(node, '/?debug=0')).toMatchObject({ code: Code.OK, tier: 'local' })
  })

  it('is no value for a header, and takes that of nobody else away', async () => {
    const requestHeaderOperations = [{ name: 'x-debug', values: ['request.query_params["debug"]'] }]
    const node = await start(refusingRule('headers', 'true', { requestHeaderOperations, actions: [] }))
    const header = async (path: string) => (await check(node, path)).requestHeaders
    const removed = [{ name: 'x-debug', value: '', operation: 'REMOVE' }]
    expect(await header('/?debug=0&debug=1')).toEqual(removed)
    expect(await header('/?debug=0')).toEqual([{ name: 'x-debug', value: '0', operation: 'REPLACE' }])
    expect(await header('/?debug=0&debug=1')).toEqual(removed)
  })

  it('is explained', async () => {
    const node = await start(refusingRule('debug', DEBUG))
    const bag = new NormalRequestBag(MapBag.of({ 'request.path': '/?debug=0&debug=1' }), new Set())
    const verdicts = { get: () => ({ error: new Error('not asked') as never }) }
    expect(await explainCheck(node.state(), bag, 1_000, { clock: node.clock, verdicts })).toMatchObject({
      rules: [{ matched: 'unknown', because: expect.stringContaining('servers read it differently') as string }],
    })
  })

  it('depends, for a caller that keeps answers, on the path', async () => {
    const node = await start(refusingRule('debug', DEBUG))
    const { referenced } = await check(node, '/?debug=0')
    expect(referenced.map(({ name, condition }) => [name, condition])).toEqual([
      ['request.query_params', 'ABSENCE'],
      ['request.path', 'EXACT'],
    ])
  })
})

const terms = fc.constantFrom(
  'request.query_params["a"] == "1"',
  'request.query_params["a"] == "2"',
  'request.query_params["b"] == "1"',
  '"a" in request.query_params',
  '"b" in request.query_params',
  'request.query_params["a"].startsWith("1")',
  'int(request.query_params["b"]) < 2',
  'pick(request.query_params["b"], "2") == "2"',
  'request.query_params.exists(k, request.query_params[k] == "2")',
  'size(request.query_params) > 1',
  'request.query_params == {"a": "1"}',
)
const matches = fc
  .tuple(fc.array(terms, { minLength: 1, maxLength: 3 }), fc.constantFrom(' && ', ' || '))
  .map(([parts, operator]) => parts.join(operator))
const queries = fc
  .array(fc.constantFrom('a=1', 'a=2', '%61=1', 'b=1', 'b=2', 'b', 'c=1;a=2', 'c'), { maxLength: 4 })
  .map((parts) => `/?${parts.join('&')}`)

describe('answers that are kept', () => {
  it('are those that an evaluation gives, for every query', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(matches, fc.constantFrom('open', 'closed'), fc.constantFrom('unknown', 'noMatch')), {
          minLength: 7,
          maxLength: 9,
        }),
        fc.array(queries, { minLength: 20, maxLength: 30 }),
        async (texts, paths) => {
          const rules = texts.map(([match, failPolicy, matchFailure], i) =>
            refusingRule(`r${i}`, match, { failPolicy, matchFailure }),
          )
          const keeping = await start(...rules)
          const evaluating = await startNode(goodPolicy(...rules), false)
          for (const path of [...paths, ...paths]) {
            const { code, message } = await check(keeping, path)
            const other = await check(evaluating, path)
            expect({ code, message, path }).toEqual({ code: other.code, message: other.message, path })
          }
        },
      ),
      { numRuns: 30 },
    )
  })
})
