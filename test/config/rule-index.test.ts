import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TermIndex } from '../../src/config/term-index.ts'
import { RuleSelector, rulesFor } from '../../src/config/rule-index.ts'
import { atOnce } from '../../src/config/slices.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'
import { matchRule } from '../../src/policy/rule-match.ts'
import { compileGood, DENY, MANIFEST } from './compile.ts'
import { RecordingLog } from './recording-log.ts'

interface RuleText {
  readonly match: string
  readonly namespace?: string
  readonly lang?: string
}

const rules = (texts: readonly RuleText[]) =>
  texts.map(
    ({ match, namespace = 'istio-system', lang = 'CEXL' }, i) => `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: {name: r${String(i).padStart(3, '0')}, namespace: ${namespace}, annotations: {policy.istio.io/lang: ${lang}, policy.intermix.dev/matchFailure: unknown}}
spec:
  match: ${JSON.stringify(match)}
  actions: [{handler: deny.istio-system, instances: [nothing.istio-system]}]
`,
  )
const config = (texts: readonly RuleText[]) => compileGood(MANIFEST, DENY, ...rules(texts))

const term = fc.constantFrom(
  'request.path == "/a"',
  'request.path == "/b"',
  '"/c" == request.path',
  'request.path == ""',
  'request.method == "GET"',
  'request.size == 1',
  'request.size == 0',
  'connection.mtls == true',
  'connection.mtls == false',
  'source.labels["app"] == "web"',
  'source.labels["app"] == ""',
  'source.labels["app"] == "db"',
  'destination.namespace == "prod"',
  'request.path.startsWith("/")',
  'request.path.startsWith("/a")',
  'request.path.startsWith("/a/b")',
  'request.path.endsWith("b")',
  'match(request.path, "/b*")',
  'match(request.path, "*/b")',
  'match(request.path, "*")',
  '(request.path == "/c" || request.path.startsWith("/a/"))',
  '(request.path.endsWith("c") || request.path == "/b")',
  '(request.path == "/c" || request.path == "/d")',
  'match(source.labels["app"], "w*")',
  '(source.labels["app"] == "db" || match(source.labels["app"], "*b"))',
  '(request.path == "/a" || request.size == 1)',
  'source.labels["version"] != "v1"',
  'ip(source.labels["app"]) == source.ip',
  'timestamp(request.path) == context.time',
)
const match = fc.array(term, { minLength: 1, maxLength: 4 }).map((terms) => terms.join(' && '))
const bag = fc
  .record(
    {
      'request.path': fc.constantFrom<AttributeValue>('', '/', '/a', '/a/b', '/a/b/c', '/b', '/c', '/d', 5n),
      'request.method': fc.constantFrom('GET', 'POST'),
      'request.size': fc.constantFrom(0n, 1n, 2n),
      'connection.mtls': fc.constantFrom<AttributeValue>(true, false, 'true'),
      'source.labels': fc.dictionary(fc.constantFrom('app', 'version'), fc.constantFrom('', 'web', 'db', 'v1')),
      'context.reporter.kind': fc.constantFrom('inbound', 'outbound'),
      'destination.namespace': fc.constantFrom('prod', 'dev', 'istio-system', 'none'),
      'source.namespace': fc.constantFrom('prod', 'dev', 'none'),
    },
    { requiredKeys: [] },
  )
  .map((values) => {
    const entries = Object.entries(values).filter((entry) => entry[1] !== undefined)
    return new Map<string, AttributeValue>(
      entries.map(
        ([name, value]) =>
          [name, typeof value === 'object' ? new Map(Object.entries(value)) : value] as [string, AttributeValue],
      ),
    )
  })

describe('the term index', () => {
  it.each(['CEXL', 'CEL'])('finds every %s rule that matches or whose match fails, in rule order', (lang) => {
    fc.assert(
      fc.property(
        fc.array(match, { minLength: 1, maxLength: 30 }),
        fc.array(bag, { maxLength: 20 }),
        (matches, bags) => {
          const snapshot = config(matches.map((text) => ({ match: text, lang })))
          const index = atOnce(TermIndex.build(snapshot.rules, { vocabulary: snapshot.vocabulary, splitFrom: 2 }))
          for (const values of bags) {
            const request = new MapBag(values)
            const found = index.candidates(request).rules
            const linear = snapshot.rules.filter(
              (rule) => matchRule(rule, request, undefined, () => undefined) !== false,
            )
            const positions = found.map((rule) => snapshot.rules.indexOf(rule))
            expect(positions).toEqual(positions.toSorted((a, b) => a - b))
            expect(linear.filter((rule) => !found.includes(rule)).map((rule) => rule.match?.source)).toEqual([])
          }
        },
      ),
      { numRuns: 60 },
    )
  })

  it('gives the same candidates for bags with the same reads', () => {
    fc.assert(
      fc.property(
        fc.array(match, { minLength: 6, maxLength: 30 }),
        fc.array(bag, { minLength: 20, maxLength: 60 }),
        (matches, bags) => {
          const snapshot = config(
            matches.map((text, i) => ({ match: text, namespace: ['istio-system', 'prod', 'dev'][i % 3] ?? '' })),
          )
          const selector = atOnce(RuleSelector.build(snapshot))
          const digests = new Map<string, string>()
          for (const values of bags) {
            const log = new RecordingLog()
            const request = new MapBag(values)
            const { digest } = selector.check(request, log)
            expect(selector.check(request).digest).toBe(digest)
            for (const predicate of log.predicates) expect(predicate.test(request)).toBeTypeOf('boolean')
            const reads = [...log.reads, ...log.predicates.map(({ id }) => id)].join()
            expect(digests.get(reads) ?? digest).toBe(digest)
            digests.set(reads, digest)
          }
        },
      ),
      { numRuns: 40 },
    )
  })

  it.each([
    ['CEXL', 'request.path.startsWith("/api/%/")'],
    ['CEXL', 'match(request.path, "/api/%/*") && request.method == "GET"'],
    ['CEXL', '(request.path | "/none").startsWith("/api/%/")'],
    ['CEXL', 'request.path == "/other/%" || request.path.startsWith("/api/%/")'],
    ['CEXL', 'match(source.labels["path"], "/api/%/*")'],
    ['CEXL', 'match(source.labels["path"] | "none", "/api/%/*")'],
    ['CEL', 'request.path.startsWith("/api/%/")'],
    ['CEL', 'match(request.path, "/api/%/*")'],
    ['CEL', 'request.path in ["/api/%/x", "/other/%"]'],
    ['CEL', 'source.labels["path"].startsWith("/api/%/")'],
  ])('finds by their prefixes or alternatives, in %s: %s', (lang, pattern) => {
    const matches = Array.from({ length: 200 }, (_, i) => ({ match: pattern.replaceAll('%', String(i)), lang }))
    const snapshot = config([...matches, { match: 'request.path.startsWith("/api/")', lang }])
    const index = atOnce(TermIndex.build(snapshot.rules, snapshot))
    const of = (path: string) =>
      index.candidates(MapBag.of({ 'request.path': path, 'source.labels': new Map([['path', path]]) })).rules
    const names = (path: string) => of(path).map(({ name }) => name.split('.')[0])
    expect(names('/api/17/x')).toEqual(['r017', 'r200'])
    // Where what the rules demand is looked up in another way, the odd one out is left to be evaluated.
    expect(['', 'r200']).toContain(names('/elsewhere').join())
  })

  it('finds by their suffixes the rules of a host', () => {
    const hosts = Array.from({ length: 200 }, (_, i) => ({ match: `request.path.endsWith(".h${i}.example.com")` }))
    const snapshot = config([...hosts, { match: 'match(request.path, "*.example.com")' }])
    const index = atOnce(TermIndex.build(snapshot.rules, snapshot))
    const names = (path: string) =>
      index.candidates(MapBag.of({ 'request.path': path })).rules.map(({ name }) => name.split('.')[0])
    expect(names('a.h17.example.com')).toEqual(['r017', 'r200'])
    expect(names('a.example.com')).toEqual(['r200'])
    expect(names('example.com')).toEqual([])
  })

  it('holds no more references than a multiple of the rules, however many alternatives they name', () => {
    const slots = ['request.path', 'request.method', 'source.labels["app"]', 'source.labels["version"]']
    const matches = Array.from({ length: 12 }, (_, rule) => {
      const terms = slots.map((slot) => {
        const alternatives = Array.from({ length: 60 }, (_, i) => `${slot} == "v${(i * (rule + 7)) % 211}"`)
        return `(${alternatives.join(' || ')})`
      })
      return { match: terms.join(' && ') }
    })
    const snapshot = config(matches)
    let pauses = 0
    const work = TermIndex.build(snapshot.rules, snapshot)
    while (work.next().done !== true) pauses++
    expect(pauses).toBeLessThan(20_000)
  })

  it('leaves out rules whose term does not hold, and hands out the same set for the same rules', () => {
    const paths = Array.from({ length: 100 }, (_, i) => ({ match: `request.path == "/${i}" && request.size == 1` }))
    const snapshot = config([...paths, { match: 'request.method == "GET"' }])
    const index = atOnce(TermIndex.build(snapshot.rules, snapshot))
    const of = (path: string, log?: RecordingLog) => index.candidates(MapBag.of({ 'request.path': path }), log)
    expect(of('/7').rules.map(({ match: text }) => text?.source)).toEqual([
      'request.path == "/7" && request.size == 1',
      'request.method == "GET"',
    ])
    expect(of('/7')).toBe(of('/7'))
    expect(of('/nowhere')).toBe(of('/elsewhere'))
    expect(of('/nowhere').rules).toHaveLength(1)
    const [unknown, known] = [new RecordingLog(), new RecordingLog()]
    of('/nowhere', unknown)
    of('/7', known)
    expect(unknown.reads).toEqual(['?request.path=false'])
    expect(known.reads).toEqual(['?request.path=true', 'request.path=/7'])
  })
})

describe('rule selection', () => {
  const texts = [
    { match: 'request.path == "/a"' },
    { match: 'request.path == "/b"', namespace: 'prod' },
    { match: 'request.path == "/c"', namespace: 'dev' },
  ]

  it('takes the namespace of the destination, or of the source where the reporter is outbound', () => {
    const selector = atOnce(RuleSelector.build(config(texts)))
    const namespaces = (values: Readonly<Record<string, AttributeValue>>) =>
      selector.check(MapBag.of(values)).rules.map(({ namespace }) => namespace)
    const both = { 'destination.namespace': 'prod', 'source.namespace': 'dev' }
    expect(namespaces(both)).toEqual(['istio-system', 'prod'])
    expect(namespaces({ ...both, 'context.reporter.kind': 'inbound' })).toEqual(['istio-system', 'prod'])
    expect(namespaces({ ...both, 'context.reporter.kind': 'outbound' })).toEqual(['istio-system', 'dev'])
    expect(namespaces({ 'destination.namespace': 'elsewhere' })).toEqual(['istio-system'])
    expect(namespaces({})).toEqual(['istio-system'])
  })

  it('logs what the choice depended on, and nothing where there is no choice', () => {
    const reads = (texts_: readonly RuleText[], values: Readonly<Record<string, AttributeValue>>) => {
      const log = new RecordingLog()
      atOnce(RuleSelector.build(config(texts_))).check(MapBag.of(values), log)
      return log.reads
    }
    expect(reads(texts, {})).toEqual(['-context.reporter.kind', '-destination.namespace'])
    expect(reads(texts, { 'context.reporter.kind': 'outbound', 'source.namespace': 'x' })).toEqual([
      'context.reporter.kind=outbound',
      '?source.namespace=false',
    ])
    expect(reads(texts.slice(0, 1), { 'destination.namespace': 'prod' })).toEqual([])
  })

  it('tells the rules of checks, reports and attribute generation apart', () => {
    const snapshot = compileGood(
      MANIFEST,
      DENY,
      ...rules([{ match: 'true' }]),
      `
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: count, namespace: prod}
spec:
  actions: [{handler: {adapter: meter}, instances: [{template: reportnothing}]}]
---
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: headers}
spec: {requestHeaderOperations: [{name: x-a, operation: REMOVE}]}
---
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: pods}
spec:
  actions: [{handler: {adapter: pods}, instances: [{template: kubernetes}]}]
`,
    )
    const selector = atOnce(RuleSelector.build(snapshot))
    const prod = MapBag.of({ 'destination.namespace': 'prod' })
    const names = (list: readonly { readonly name: string }[]) => list.map(({ name }) => name.split('.')[0])
    expect(names(selector.check(prod).rules)).toEqual(['headers', 'r000'])
    expect(names(selector.report(prod).rules)).toEqual(['count'])
    expect(names(selector.attributes(prod).rules)).toEqual(['pods'])
    expect(names(rulesFor(snapshot, 'prod', 'report'))).toEqual(['count'])
    expect(names(rulesFor(snapshot, 'dev', 'report'))).toEqual([])
  })
})
