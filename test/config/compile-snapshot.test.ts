import { describe, expect, it } from 'vitest'
import { EvaluationError } from '../../src/expression/compiled.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { compile, compileGood, DENY, MANIFEST } from './compile.ts'

const RULE = `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: {name: admin}
spec:
  match: request.path == "/admin"
  actions: [{handler: deny, instances: [nothing]}]
`

describe('a snapshot', () => {
  it('holds handlers, instances and rules under their full names', () => {
    const snapshot = compileGood(MANIFEST, DENY, RULE)
    expect([...snapshot.handlers.keys()]).toEqual(['deny.handler.istio-system'])
    expect([...snapshot.instances.keys()]).toEqual(['nothing.instance.istio-system'])
    expect(snapshot.rules.map(({ name }) => name)).toEqual(['admin.rule.istio-system'])
    expect(snapshot.vocabulary.get('request.size')).toBe('INT64')
  })

  it('has the same id whatever the order, the layout and the comments of its documents', () => {
    const id = compileGood(MANIFEST, DENY, RULE).id
    expect(compileGood(RULE, `# a comment\n${MANIFEST}`, DENY).id).toBe(id)
    expect(compileGood(MANIFEST, DENY, RULE.replace('/admin', '/adm1n')).id).not.toBe(id)
  })

  it('orders rules by default namespace, namespace and name', () => {
    const rule = (name: string, namespace: string) =>
      RULE.replace('{name: admin}', `{name: ${name}, namespace: ${namespace}}`)
        .replace('handler: deny', 'handler: deny.istio-system')
        .replace('[nothing]', '[nothing.istio-system]')
    const documents = [
      rule('b', 'prod'),
      rule('z', 'istio-system'),
      rule('a', 'prod'),
      rule('a', 'dev'),
      rule('a', 'istio-system'),
    ]
    const names = compileGood(MANIFEST, DENY, ...documents).rules.map(({ name }) => name)
    const expected = ['a.rule.istio-system', 'z.rule.istio-system', 'a.rule.dev', 'a.rule.prod', 'b.rule.prod']
    expect(names).toEqual(expected)
  })

  it('takes legacy kinds, named by adapter and template, with the spec as params', () => {
    const snapshot = compileGood(
      MANIFEST,
      `
apiVersion: config.istio.io/v1alpha2
kind: lister
metadata: {name: versions}
spec: {overrides: [v1], entry_type: REGEX}
---
apiVersion: config.istio.io/v1alpha2
kind: listentry
metadata: {name: version}
spec: {value: 'source.labels["version"]'}
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: {name: check}
spec: {actions: [{handler: versions.lister, instances: [version.listentry.istio-system]}]}
`,
    )
    const [action] = snapshot.rules[0]?.actions ?? []
    expect(action?.handler).toMatchObject({ name: 'versions.lister.istio-system', params: { entryType: 'REGEX' } })
    expect(action?.instances[0]?.name).toBe('version.listentry.istio-system')
  })

  it('fills instances: nested messages, maps, numbers as expressions', () => {
    const snapshot = compileGood(
      MANIFEST,
      `
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: {name: who}
spec:
  compiledTemplate: authorization
  params:
    subject: {user: request.path, properties: {size: request.size, fixed: 7}}
    action: {method: request.method}
`,
    )
    const instance = snapshot.instances.get('who.instance.istio-system')
    const bag = MapBag.of({ 'request.path': '/', 'request.size': 3n, 'request.method': 'GET' })
    expect(instance?.build(bag)).toEqual({
      name: 'who.instance.istio-system',
      template: 'authorization',
      fields: { subject: { user: '/', properties: { size: 3n, fixed: 7n } }, action: { method: 'GET' } },
    })
    const failed = instance?.build(MapBag.of({ 'request.path': '/' }))
    expect(failed).toBeInstanceOf(EvaluationError)
    expect((failed as EvaluationError).message).toMatch(/^properties\.size: /)
  })

  it('evaluates bindings over the output under either of its names, without logging it', () => {
    const snapshot = compileGood(
      MANIFEST,
      `
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: {name: pod}
spec:
  compiledTemplate: kubernetes
  attributeBindings:
    source.owner: $out.source_owner | "$out.none"
    source.name: output.source_pod_name | request.path
`,
    )
    const bindings = snapshot.instances.get('pod.instance.istio-system')?.bindings
    const bag = MapBag.of({ '$out.source_owner': 'web', 'request.path': '/' })
    const reads: string[] = []
    const log = {
      attribute: (name: string) => reads.push(name),
      mapKey: (name: string) => reads.push(name),
      wholeMap: (name: string) => reads.push(name),
      predicate: ({ attribute }: { attribute: string }) => reads.push(attribute),
    }
    expect(bindings?.get('source.owner')?.evaluate(bag, log)).toBe('web')
    expect(bindings?.get('source.owner')?.evaluate(MapBag.of({}))).toBe('$out.none')
    expect(bindings?.get('source.name')?.evaluate(bag, log)).toBe('/')
    expect(reads).toEqual(['request.path'])
  })

  it('reads settings that Mixer lacked from annotations, and its sampling', () => {
    const [rule] = compileGood(
      MANIFEST,
      DENY,
      `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata:
  name: admin
  annotations:
    policy.intermix.dev/failPolicy: open
    policy.intermix.dev/mode: shadow
    policy.intermix.dev/maxValidFor: 2s
    policy.intermix.dev/maxValidUses: "5"
spec:
  sampling: {random: {percentSampled: {numerator: 25, denominator: HUNDRED}}}
  actions: [{handler: deny, instances: [nothing]}]
`,
    ).rules
    const expected = { failPolicy: 'open', mode: 'shadow', maxValidForMs: 2000, maxValidUses: 5, sampling: 0.25 }
    expect(rule).toMatchObject(expected)
  })

  it('reads deadlines and stale bounds of handlers, and defaults by what the adapter takes', () => {
    const { handlers } = compileGood(`
apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: {name: a}
spec: {compiledAdapter: door, connection: {timeout: 50ms}}
---
apiVersion: intermix.dev/v1
kind: handler
metadata: {name: b}
spec: {adapter: door, timeout: 1s, staleIfError: 1m, staleWhileRevalidate: 5s, maxDenyValidFor: 3s, costPerCall: 0.002}
---
apiVersion: intermix.dev/v1
kind: handler
metadata: {name: c}
spec: {adapter: meter}
---
apiVersion: intermix.dev/v1
kind: handler
metadata: {name: d}
spec: {adapter: limiter, params: {quotas: []}}
---
apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: {name: e, annotations: {policy.intermix.dev/timeout: 2s, policy.intermix.dev/reportTimeout: 9s}}
spec: {compiledAdapter: both}
---
apiVersion: intermix.dev/v1
kind: handler
metadata: {name: f}
spec: {adapter: meter, timeout: 3s}
---
apiVersion: intermix.dev/v1
kind: handler
metadata: {name: g}
spec: {adapter: patient}
---
apiVersion: intermix.dev/v1
kind: handler
metadata: {name: h}
spec: {adapter: patient, timeout: 50ms, reportTimeout: 1m}
`)
    const limits = (name: string) => {
      const { timeoutMs, reportTimeoutMs, staleIfErrorMs, staleWhileRevalidateMs, maxDenyValidForMs } =
        handlers.get(`${name}.handler.istio-system`) ?? {}
      return [timeoutMs, reportTimeoutMs, staleIfErrorMs, staleWhileRevalidateMs, maxDenyValidForMs]
    }
    expect(limits('a')).toEqual([50, 5000, 600_000, 0, undefined])
    expect(limits('b')).toEqual([1000, 5000, 60_000, 5000, 3000])
    expect(limits('c')).toEqual([200, 5000, 600_000, 0, undefined])
    expect(limits('d')).toEqual([200, 5000, 0, 0, undefined])
    expect(limits('e')).toEqual([2000, 9000, 600_000, 0, undefined])
    expect(limits('f')).toEqual([3000, 3000, 600_000, 0, undefined])
    expect(limits('g')).toEqual([400, 20_000, 600_000, 0, undefined])
    expect(limits('h')).toEqual([50, 60_000, 600_000, 0, undefined])
    const costs = ['a', 'b'].map((name) => handlers.get(`${name}.handler.istio-system`)?.costPerCall)
    expect(costs).toEqual([0, 0.002])
  })

  it('warns of a report timeout where nothing is reported', () => {
    const { warnings } = compileGood(
      '{apiVersion: intermix.dev/v1, kind: handler, metadata: {name: a}, spec: {adapter: lister, reportTimeout: 7s}}',
    )
    expect(warnings.map(({ message }) => message)).toContainEqual(expect.stringContaining('takes no reports'))
  })

  it('normalises the keys of params that the schema names, and keeps those of the operator', () => {
    const { handlers } = compileGood(`
apiVersion: intermix.dev/v1
kind: limiter
metadata: {name: a}
spec: {quotas: [{name: q, max_amount: 5, overrides: [{dimensions: {source_app: web}, maxAmount: 1}]}]}
---
apiVersion: intermix.dev/v1
kind: meter
metadata: {name: b}
spec: {labels: {my_label: x}}
---
apiVersion: intermix.dev/v1
kind: door
metadata: {name: c}
spec: {address: {host: h, port: 1}}
`)
    const override = { dimensions: { source_app: 'web' }, maxAmount: 1 }
    expect(handlers.get('a.limiter.istio-system')?.params).toEqual({
      quotas: [{ name: 'q', maxAmount: 5, overrides: [override] }],
    })
    expect(handlers.get('b.meter.istio-system')?.params).toEqual({ labels: { my_label: 'x' }, metrics: [] })
    expect(handlers.get('c.door.istio-system')?.params).toEqual({ address: { host: 'h', port: 1 } })
  })

  it('takes a rule that holds its handlers and instances itself', () => {
    const snapshot = compileGood(
      MANIFEST,
      `
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: page, namespace: prod}
spec:
  lang: CEXL
  match: request.path == "/"
  failPolicy: open
  actions:
    - handler: {adapter: lister, params: {overrides: [a]}, timeout: 30ms}
      instances:
        - {template: listentry, params: {value: request.path}}
        - {name: named, template: listentry, params: {value: request.method}}
`,
    )
    const [action] = snapshot.rules[0]?.actions ?? []
    expect(action?.handler).toMatchObject({ name: 'page-1.handler.prod', timeoutMs: 30, params: { overrides: ['a'] } })
    expect(action?.instances.map(({ name }) => name)).toEqual(['page-1-1.instance.prod', 'named.instance.prod'])
    expect(snapshot.warnings).toEqual([])
  })

  it('lets header values read the output of a named action', () => {
    const [rule] = compileGood(
      MANIFEST,
      DENY,
      `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: {name: admin}
spec:
  actions: [{handler: deny, instances: [nothing], name: x}]
  requestHeaderOperations: [{name: User-Group, values: ['"g-"', x.output.value]}]
  responseHeaderOperations: [{name: server, operation: REMOVE}]
`,
    ).rules
    const [header] = rule?.requestHeaders ?? []
    expect(header).toMatchObject({ name: 'user-group', operation: 'REPLACE' })
    const bag = MapBag.of({ 'x.output.value': 'admins' })
    expect(header?.values.map((value) => value.evaluate(bag))).toEqual(['g-', 'admins'])
    expect(rule?.responseHeaders).toEqual([{ name: 'server', operation: 'REMOVE', values: [] }])
  })

  it('reads lists as kubectl prints them, and JSON', () => {
    const item = {
      apiVersion: 'config.istio.io/v1alpha2',
      kind: 'handler',
      metadata: { name: 'a' },
      spec: { compiledAdapter: 'denier' },
    }
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [item, { ...item, metadata: { name: 'b' } }] })
    expect([...compileGood(list).handlers.keys()]).toEqual(['a.handler.istio-system', 'b.handler.istio-system'])
  })
})

describe('digests', () => {
  const handler = (params: string) =>
    compileGood(
      `{apiVersion: intermix.dev/v1, kind: handler, metadata: {name: a}, spec: {adapter: lister, ${params}}}`,
    ).handlers.get('a.handler.istio-system')?.digest

  it('of a handler changes with its params and limits and not with their spelling', () => {
    const digest = handler('params: {entryType: REGEX}')
    expect(handler('params: {entry_type: "REGEX"}')).toBe(digest)
    expect(handler('params: {entryType: STRINGS}')).not.toBe(digest)
    expect(handler('params: {entryType: REGEX}, timeout: 7s')).not.toBe(digest)
    expect(handler('params: {entryType: REGEX}, staleIfError: 7s')).not.toBe(digest)
  })

  it('of an instance changes with the type of an attribute that it reads', () => {
    const entry =
      '{apiVersion: config.istio.io/v1alpha2, kind: listentry, metadata: {name: a}, spec: {value: request.path}}'
    const digest = (manifest: string) => compileGood(manifest, entry).instances.get('a.listentry.istio-system')?.digest
    expect(digest(MANIFEST)).not.toBe(
      digest(MANIFEST.replace('request.path: {valueType: STRING}', 'request.path: {valueType: URI}')),
    )
  })

  it('of a rule changes with its handler', () => {
    const digest = (deny: string) => compileGood(MANIFEST, deny, RULE).rules[0]?.digest
    expect(digest(DENY)).toBe(digest(DENY))
    expect(digest(DENY.replace('denier}', 'denier, params: {status: {code: 7}}}'))).not.toBe(digest(DENY))
  })
})

describe('objects for others', () => {
  it('are ignored with a word, and other groups too', () => {
    const quota = '{apiVersion: config.istio.io/v1alpha2, kind: QuotaSpec, metadata: {name: q}, spec: {rules: []}}'
    const other = '{apiVersion: networking.istio.io/v1alpha3, kind: Gateway, metadata: {name: g}}'
    const { snapshot, problems } = compile(quota, other)
    expect(snapshot).toBeDefined()
    expect(problems.filter(({ code }) => code !== 'no-rules').map(({ message }) => message)).toEqual([
      'kind "QuotaSpec" is for proxies; ignored.',
      'objects of "networking.istio.io/v1alpha3" are not for Intermix; ignored.',
    ])
  })
})
