import { describe, expect, it } from 'vitest'
import type { AnyAdapter } from '../../src/adapter-kit/define-adapter.ts'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { parseConfigText } from '../../src/config/load.ts'
import { TEST_ADAPTERS } from './adapters.ts'
import { compileGood, DENY, MANIFEST } from './compile.ts'

interface World {
  readonly match?: string
  readonly value?: string
  readonly label?: string
  readonly handler?: string
  readonly generator?: string
  readonly mode?: string
}

/** A config whose records go to `count` as a metric, with attributes that `pods` generates. */
function reporting(world: World = {}): string[] {
  const { match = 'response.code == 500', value = '1', label = '{}', handler = 'count' } = world
  return [
    MANIFEST,
    DENY,
    `
apiVersion: intermix.dev/v1
kind: handler
metadata: {name: ${handler}}
spec: {adapter: meter, params: {labels: ${label}}}
---
apiVersion: intermix.dev/v1
kind: handler
metadata: {name: pods}
spec: {adapter: pods, timeout: ${world.generator ?? '100ms'}}
---
apiVersion: intermix.dev/v1
kind: instance
metadata: {name: requests}
spec: {template: metric, params: {value: '${value}', dimensions: {code: response.code}}}
---
apiVersion: intermix.dev/v1
kind: instance
metadata: {name: pod}
spec: {template: kubernetes, params: {source_uid: source.name}, attributeBindings: {source.owner: $out.source_pod_name}}
---
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: generate}
spec: {actions: [{handler: pods, instances: [pod]}]}
---
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: report}
spec:
  match: '${match}'
  mode: ${world.mode ?? 'enforce'}
  actions: [{handler: ${handler}, instances: [requests]}]
`,
  ]
}

const check = (more: string) => `
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: guard}
spec: {match: '${more}', actions: [{handler: deny, instances: [nothing]}]}
`

const digestOf = (...documents: string[]) => compileGood(...documents).reportDigest

describe('the digest of report rules', () => {
  const usual = digestOf(...reporting())

  it('is the same for the same rules, in whichever order and place they stand', () => {
    expect(digestOf(...reporting())).toBe(usual)
    expect(digestOf(...reporting().toReversed())).toBe(usual)
  })

  it('is not that of checks, nor of what a backend of reports is told', () => {
    expect(digestOf(...reporting(), check('request.path == "/a"'))).toBe(usual)
    expect(digestOf(...reporting(), check('request.path == "/b"'))).toBe(usual)
    expect(digestOf(...reporting({ label: '{password: x}' }))).toBe(usual)
  })

  it('is another one where a record may become something else', () => {
    const others = [
      digestOf(...reporting({ match: 'response.code == 501' })),
      digestOf(...reporting({ value: '2' })),
      digestOf(...reporting({ handler: 'tally' })),
      digestOf(...reporting({ mode: 'shadow' })),
      digestOf(...reporting({ generator: '200ms' })),
      digestOf(
        ...reporting().map((text) =>
          text.replace('source.owner: {', 'source.owners: {valueType: STRING}\n    source.owner: {'),
        ),
      ),
      compileSnapshot(parseConfigText('test.yaml', reporting().join('\n---\n')), {
        adapters: TEST_ADAPTERS,
        defaultNamespace: 'elsewhere',
      }).snapshot?.reportDigest,
    ]
    expect(new Set([usual, ...others]).size).toBe(others.length + 1)
  })

  it('is that of the params, too, where reports are added up by them before they are queued', () => {
    const meter = TEST_ADAPTERS.get('meter') as AnyAdapter
    const open = () => ({ series: () => 0, observe: () => undefined, take: () => [] })
    const adding: AnyAdapter = { ...meter, aggregation: () => ({ observed: 'value', open }) }
    const digest = (label: string) => {
      const loaded = parseConfigText('test.yaml', reporting({ label }).join('\n---\n'))
      return compileSnapshot(loaded, { adapters: new Map([...TEST_ADAPTERS, ['meter', adding]]) }).snapshot
        ?.reportDigest
    }
    expect(digest('{a: x}')).toBe(digest('{a: x}'))
    expect(digest('{a: x}')).not.toBe(digest('{a: y}'))
  })
})
