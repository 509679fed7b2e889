// Header operations: one for each value, and none of the client's where policy sets a header and has no value for it.

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { loadConfigFolder } from '../../src/config/load.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { type HeaderOperation, headerChanges } from '../../src/kernel/header-operation.ts'
import { explainCheck } from '../../src/policy/explain.ts'
import { type Attributes, compilePolicy, document, goodPolicy, startNode } from './policy-node.ts'

const operation = (name: string, kind: string, ...values: readonly string[]) => ({ name, operation: kind, values })

function rule(name: string, ...operations: readonly object[]): string {
  return document({ kind: 'rule', name, spec: { requestHeaderOperations: operations } })
}

const text = ({ requestHeaders }: { readonly requestHeaders: readonly HeaderOperation[] }) =>
  requestHeaders.map(({ name, value, operation: kind }) => `${kind} ${name}${value === '' ? '' : `=${value}`}`)

async function operations(documents: readonly string[], attributes: Attributes = {}): Promise<readonly string[]> {
  const node = await startNode(goodPolicy(...documents))
  return text((await node.check(attributes)).answer)
}

describe('the values of a header operation', () => {
  it('begin no header of their own, whatever a caller put in', async () => {
    const request = { 'request.path': 'a\r\nx-verified-user: root\n\x00', 'request.method': '\r\n\t' }
    const both = [operation('x-a', 'APPEND', 'request.path'), operation('x-b', 'REPLACE', 'request.method')]
    expect(await operations([rule('r', ...both)], request)).toEqual([
      'APPEND x-a=a x-verified-user: root',
      'REMOVE x-b',
    ])
  })

  it('are an operation each', async () => {
    const request = { 'request.method': 'GET' }
    expect(await operations([rule('r', operation('x-role', 'APPEND', '"reader"', '"writer"'))])).toEqual([
      'APPEND x-role=reader',
      'APPEND x-role=writer',
    ])
    expect(await operations([rule('r', operation('x-a', 'APPEND', '"a"', 'request.method'))], request)).toEqual([
      'APPEND x-a=a',
      'APPEND x-a=GET',
    ])
  })

  it('are left out alone where one is absent, empty or fails', async () => {
    const values = ['"blue"', 'request.headers["x-none"]', 'request.path', '""', '"red"']
    expect(await operations([rule('r', operation('x-team', 'APPEND', ...values))])).toEqual([
      'APPEND x-team=blue',
      'APPEND x-team=red',
    ])
    expect(await operations([rule('r', operation('x-team', 'APPEND', 'request.path'))])).toEqual([])
  })

  it('replace one another, and what the client sent goes where none is left', async () => {
    const replacing = [rule('r', operation('x-user', 'REPLACE', 'request.path', 'request.headers["x-user"] | ""'))]
    const headers = new Map([['x-user', 'eve']])
    expect(await operations(replacing, { 'request.path': '/a' })).toEqual(['REPLACE x-user=/a'])
    expect(await operations(replacing, { 'request.path': '/a', 'request.headers': headers })).toEqual([
      'REPLACE x-user=/a',
      'REPLACE x-user=eve',
    ])
    expect(await operations(replacing)).toEqual(['REMOVE x-user'])
  })

  it('leave headers alone that a request cannot lack', async () => {
    const replaced = [operation(':path', 'REPLACE', 'request.path'), operation('host', 'REPLACE', 'request.path')]
    expect(await operations([rule('r', ...replaced)])).toEqual([])
  })

  it('act in rule order, so that a later rule without a value removes what an earlier one set', async () => {
    const rules = [
      rule('a', operation('x-user', 'REPLACE', '"amy"')),
      rule('b', operation('x-user', 'REPLACE', 'request.path')),
    ]
    expect(await operations(rules)).toEqual(['REPLACE x-user=amy', 'REMOVE x-user'])
  })

  it('are not worked out for a denied request', async () => {
    const node = await startNode(
      goodPolicy(
        document({ kind: 'handler', name: 'deny', spec: { compiledAdapter: 'denier' } }),
        document({ kind: 'instance', name: 'nothing', spec: { compiledTemplate: 'checknothing' } }),
        document({
          kind: 'rule',
          name: 'r',
          spec: {
            actions: [{ handler: 'deny', instances: ['nothing'] }],
            responseHeaderOperations: [operation('x-user', 'REPLACE', 'request.path')],
          },
        }),
      ),
    )
    const { answer } = await node.check({})
    expect([answer.status.code, answer.requestHeaders, answer.responseHeaders]).toEqual([9, [], []])
  })

  it('are counted by rule and header where they are missing, and explained', async () => {
    const node = await startNode(
      goodPolicy(rule('who', operation('x-user', 'REPLACE', 'request.path'), operation('x-a', 'APPEND', '"a"', '""'))),
    )
    await node.check({})
    expect(node.meter.value('header_values_missing_total', 'who.rule.istio-system', 'x-user')).toBe(1)
    expect(node.meter.value('header_values_missing_total', 'who.rule.istio-system', 'x-a')).toBe(1)
    const told = await explainCheck(node.state(), MapBag.of({}), 1_000, {
      clock: node.clock,
      verdicts: { get: () => ({ error: new Error('not asked') as never }) },
    })
    expect(told).toMatchObject({
      rules: [
        {
          rule: 'who.rule.istio-system',
          whenAllowed: {
            requestHeaders: [
              { name: 'x-user', value: '', operation: 'REMOVE' },
              { name: 'x-a', value: 'a', operation: 'APPEND' },
            ],
            responseHeaders: [],
            withoutValue: ['x-user', 'x-a'],
          },
        },
      ],
    })
  })
})

describe('the output of an action', () => {
  const named = (...values: readonly string[]) => [
    document({ kind: 'handler', name: 'naming', spec: { compiledAdapter: 'naming' } }),
    document({
      kind: 'instance',
      name: 'who',
      spec: { compiledTemplate: 'listentry', params: { value: 'request.headers["x-user"] | "nobody"' } },
    }),
    document({
      kind: 'rule',
      name: 'r',
      spec: {
        actions: [{ handler: 'naming', instances: ['who'], name: 'whoami' }],
        requestHeaderOperations: [operation('x-owner', 'REPLACE', ...values)],
      },
    }),
  ]

  it('is never taken from a request that has an attribute of the same name', async () => {
    const node = await startNode(goodPolicy(...named('whoami.output.owner')))
    const forged = { 'whoami.output.owner': 'root' }
    expect(text((await node.check(forged)).answer)).toEqual(['REMOVE x-owner'])
    const amy = { ...forged, 'request.headers': new Map([['x-user', 'amy']]) }
    const { answer } = await node.check(amy)
    expect(text(answer)).toEqual(['REPLACE x-owner=amy'])
    expect(answer.referenced.map(({ name }) => name)).toEqual(['request.headers'])
    const { problems } = compilePolicy(...named('whoami.output.owner'))
    expect(problems.map(({ code }) => code)).toEqual(['ambiguous-output'])
  })

  it('is told from attributes whose names look like one', async () => {
    const node = await startNode(goodPolicy(...named('llm.output.owner')))
    const answers = []
    for (const owner of ['amy', 'bob', 'amy']) {
      const { answer } = await node.check({ 'llm.output.owner': owner })
      answers.push([answer.tier, ...text(answer)])
      expect(answer.referenced.map(({ name }) => name)).toContain('llm.output.owner')
    }
    expect(answers).toEqual([
      ['backend', 'REPLACE x-owner=amy'],
      ['backend', 'REPLACE x-owner=bob'],
      ['local', 'REPLACE x-owner=amy'],
    ])
  })

  it('can be the target of a method', async () => {
    const node = await startNode(
      goodPolicy(
        ...named('conditionalString(teller.output.owner.startsWith("a"), "begins with a", "does not")').map((one) =>
          one.replace('"whoami"', '"teller"'),
        ),
      ),
    )
    const { answer } = await node.check({ 'request.headers': new Map([['x-user', 'amy']]) })
    expect(text(answer)).toEqual(['REPLACE x-owner=begins with a'])
  })
})

describe('the change that operations come to', () => {
  it.each([
    ['REPLACE a=1, REPLACE a=2', 'a: only 2'],
    ['APPEND a=1, REPLACE a=2, APPEND a=3', 'a: only 2,3'],
    ['REPLACE a=1, REMOVE a', 'a: only '],
    ['REMOVE a, APPEND a=1', 'a: only 1'],
    ['APPEND a=1, APPEND b=2, APPEND a=3', 'a: and 1,3; b: and 2'],
    ['', ''],
  ])('of %s is %s', (given, expected) => {
    const list = given
      .split(', ')
      .filter((one) => one !== '')
      .map((one): HeaderOperation => {
        const [, kind = '', name = '', value = ''] = /^(\w+) (\w+)=?(.*)$/.exec(one) ?? []
        return { name, value, operation: kind as HeaderOperation['operation'] }
      })
    const changes = headerChanges(list).map(
      ({ name, replaces, values }) => `${name}: ${replaces ? 'only' : 'and'} ${values.join(',')}`,
    )
    expect(changes.join('; ')).toBe(expected)
  })
})

const CASE = fileURLToPath(new URL('../../../shared/cases/05-header-operation-with-several-values/', import.meta.url))

describe.skipIf(!existsSync(CASE))('case 05', () => {
  it('gives the operations that Mixer gives', async () => {
    const loaded = await loadConfigFolder(`${CASE}config`)
    const { snapshot } = compileSnapshot(loaded, { adapters: new Map() })
    const node = await startNode(snapshot as NonNullable<typeof snapshot>)
    expect(text((await node.check({})).answer)).toEqual([
      'APPEND x-role=reader',
      'APPEND x-role=writer',
      'APPEND x-team=blue',
    ])
  })
})
