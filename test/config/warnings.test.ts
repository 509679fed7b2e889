import { describe, expect, it } from 'vitest'
import { compileGood, DENY, MANIFEST, warningsOf } from './compile.ts'

const rule = (name: string, match: string, namespace = 'istio-system') => `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  match: ${match}
  actions: [{handler: deny.istio-system, instances: [nothing.istio-system]}]
`
const messages = (...documents: string[]) => compileGood(...documents).warnings.map(({ message }) => message)

const HOSTS = `
apiVersion: config.istio.io/v1alpha2
kind: attributemanifest
metadata: {name: hosts}
spec: {attributes: {request.host: {valueType: STRING}}}
`

describe('warnings', () => {
  it('tell what no rule uses', () => {
    const snapshot = compileGood(DENY)
    expect(warningsOf(snapshot)).toEqual(['0:0 no-rules', '4:18 unused-handler', '9:18 unused-instance'])
  })

  it('tell a limit that no rule leads to, and a quota that its handler does not limit', () => {
    const quotas = (...names: string[]) => names.map((name) => `{name: ${name}, maxAmount: 1}`).join()
    const limits = (names: string, given: string) => `
apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: {name: limit, namespace: istio-system}
spec: {compiledAdapter: limiter, params: {quotas: [${names}]}}
${['calls', 'bytes']
  .map(
    (name) => `---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: {name: ${name}, namespace: istio-system}
spec: {compiledTemplate: quota, params: {dimensions: {}, deduplicationId: 'request.headers["x-request-id"] | ""'}}
`,
  )
  .join('')}
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: {name: limit, namespace: istio-system}
spec: {actions: [{handler: limit, instances: [${given}]}]}
`
    expect(messages(MANIFEST, limits(quotas('calls', 'bytes'), 'calls, bytes'))).toEqual([])
    expect(messages(MANIFEST, limits(quotas('calls', 'bytes'), 'calls')).toSorted()).toEqual([
      'no rule hands the quota "bytes" to "limit.handler.istio-system", so it limits nobody at any door.',
      'no rule uses the instance "bytes.instance.istio-system".',
    ])
    expect(messages(MANIFEST, limits(quotas('calls'), 'calls, bytes'))).toEqual([
      '"limit.handler.istio-system" has no quota named "bytes.instance.istio-system", but calls: the fail policy decides about every request.',
    ])
  })

  it('tell an override for a dimension that its instance does not have', () => {
    const limit = (dimension: string) => `
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: limit}
spec:
  actions:
    - handler:
        adapter: limiter
        params:
          quotas:
            - {name: calls, maxAmount: 1, overrides: [{dimensions: {app: a, ${dimension}: gold}, maxAmount: 2}]}
            - {name: unheard, maxAmount: 1}
      instances:
        - {name: calls, template: quota, params: {dimensions: {app: source.name, plan: source.namespace}}}
        - {name: other, template: quota, params: {dimensions: {}}}
`
    const others = [
      'no instance has the name "unheard". Known: calls, other.',
      '"limit-1.handler.istio-system" has no quota named "other.instance.istio-system", but calls, unheard: the fail policy decides about every request.',
    ]
    expect(messages(MANIFEST, limit('plan')).toSorted()).toEqual(others.toSorted())
    expect(messages(MANIFEST, limit('plam')).toSorted()).toEqual(
      [
        ...others,
        'an override of "calls" of "limit-1.handler.istio-system" is for the dimension "plam", which "calls.instance.istio-system" does not have, so it never holds. Did you mean "plan"?',
      ].toSorted(),
    )
  })

  it('tell a rule that does again what an earlier one does', () => {
    const path = 'request.path == "/"'
    expect(messages(MANIFEST, DENY, rule('a', path), rule('b', path))).toEqual([
      'the rule "a.rule.istio-system" at test.yaml:41:18 does the same for every request of this one, so this one never matters.',
    ])
    expect(messages(MANIFEST, DENY, rule('a', '"true"'), rule('b', path, 'prod'))).toHaveLength(1)
    expect(messages(MANIFEST, DENY, rule('a', path, 'dev'), rule('b', path, 'prod'))).toEqual([])
    expect(messages(MANIFEST, DENY, rule('a', path), rule('b', 'request.path == "/b"'))).toEqual([])
  })

  it.each([
    ['request.path == "//admin"', 'it is "/admin" then.'],
    ['request.path == "/%61dmin" && source.name == "a"', 'it is "/admin" then.'],
    ['request.host == "Private.example:80"', 'it is "private.example" then.'],
    ['request.host == "a,b"', 'such requests are refused.'],
    ['request.headers[":authority"] == "A.example"', 'it is "a.example" then.'],
  ])('tell a spelling that checks never see: %s', (match, end) => {
    const found = messages(MANIFEST, HOSTS, DENY, rule('a', match))
    expect(found).toHaveLength(1)
    expect(found[0]).toMatch(/^"request\.(path|host|headers\[":authority"\])" is never /)
    expect(found[0]?.endsWith(end)).toBe(true)
  })

  it('take no attribute for something else that JavaScript has', () => {
    const words = HOSTS.replace('request.host', 'constructor').replace('name: hosts', 'name: object-members')
    expect(messages(MANIFEST, words, DENY, rule('a', 'constructor == "a"'))).toEqual([])
  })

  it('tell no spelling that checks see', () => {
    const match = 'request.path == "/admin;a/" && request.host == "private.example:8080" && source.name == "A"'
    expect(messages(MANIFEST, HOSTS, DENY, rule('a', match))).toEqual([])
  })

  it('tell a rule that never matches', () => {
    expect(messages(MANIFEST, DENY, rule('a', '"false"'))).toEqual(['the rule never matches: "match" is always false.'])
  })

  it('tell what a check reads that is never the same twice, at the attribute', () => {
    const snapshot = compileGood(
      MANIFEST,
      DENY,
      rule('a', 'request.path == "/" && request.id == "x" && response.code == 5'),
    )
    expect(snapshot.warnings.map(({ column, message }) => [column, message])).toEqual([
      [33, '"request.id" differs from request to request, so no answer can be used again.'],
      [54, '"response.code" is not known before the response, so it is absent when a check is answered.'],
    ])
    expect(messages(MANIFEST, DENY, rule('a', '\'request.headers["x-request-id"] == "x"\''))).toEqual([
      '"request.headers["x-request-id"]" differs from request to request, so no answer can be used again.',
    ])
  })

  it('tell params that name no instance, or one by less than its full name', () => {
    const limiter = (name: string) => `
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: limit}
spec:
  actions:
    - handler: {adapter: limiter, params: {quotas: [{name: ${name}, maxAmount: 1}]}}
      instances: [{name: calls, template: quota}]
`
    expect(messages(MANIFEST, limiter('calls.instance.istio-system'))).toEqual([])
    expect(messages(MANIFEST, limiter('calls'))).toEqual([])
    expect(messages(MANIFEST, limiter('cals'))).toEqual(['no instance has the name "cals". Did you mean "calls"?'])
    const metric = (name: string) => `
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: count}
spec:
  actions:
    - handler: {adapter: meter, params: {metrics: [{instance_name: ${name}}]}}
      instances: [{name: requests, template: metric, params: {value: "1"}}]
`
    expect(messages(MANIFEST, metric('requests.instance.istio-system'))).toEqual([])
    expect(messages(MANIFEST, metric('requests'))).toEqual([
      'no instance has the full name "requests". Write its full name, "requests.instance.istio-system".',
    ])
  })

  it('tell a header name in capitals, at the place where it is asked for', () => {
    const snapshot = compileGood(
      MANIFEST,
      DENY,
      rule('user', '\'request.path == "/" && request.headers["X-User"] == "ann"\''),
    )
    expect(snapshot.warnings.map(({ column, code, message }) => [column, code, message])).toEqual([
      [34, 'unmatchable-key', 'header names are in lower case, so the key "X-User" never matches: write "x-user".'],
    ])
  })

  it('tell comprehensions that typical requests exhaust the step budget with', () => {
    const inner = 'request.headers.exists(c, a == b + c)'
    const costly = `
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: costly}
spec:
  match: request.headers.exists(a, source.labels.exists(b, ${inner}))
  actions: [{handler: deny, instances: [nothing]}]
`
    expect(warningsOf(compileGood(MANIFEST, DENY, costly))).toEqual(['43:10 costly'])
  })

  it('do not mind reports that read it', () => {
    const report = `
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: count, annotations: {policy.istio.io/lang: CEXL}}
spec:
  match: response.code == 200
  actions:
    - handler: {adapter: meter}
      instances: [{template: metric, params: {value: 1, dimensions: {id: request.id}}}]
`
    expect(messages(MANIFEST, report)).toEqual([])
  })
})
