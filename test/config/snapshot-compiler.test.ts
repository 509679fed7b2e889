import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { type LoadedConfig, parseConfigText } from '../../src/config/load.ts'
import { NO_DOMAINS } from '../../src/config/parse-text.ts'
import { atOnce } from '../../src/config/slices.ts'
import { type CompiledConfig, SnapshotCompiler } from '../../src/config/snapshot-compiler.ts'
import { TEST_ADAPTERS } from './adapters.ts'
import { DENY, MANIFEST } from './compile.ts'

const OPTIONS = { adapters: TEST_ADAPTERS }

/** Files that are each read once, as a folder reads those that do not change. */
function join(parts: readonly LoadedConfig[]): LoadedConfig {
  return {
    name: 'folder',
    documents: parts.flatMap(({ documents }) => documents),
    problems: parts.flatMap(({ problems }) => problems),
    domains: NO_DOMAINS,
    digest: '',
  }
}

/** All that a config compiles to, as far as it can be compared. */
function facts({ snapshot, problems, counts }: CompiledConfig) {
  return {
    problems,
    counts,
    id: snapshot?.id,
    rules: snapshot?.rules.map(({ name, digest }) => [name, digest]),
    handlers: [...(snapshot?.handlers ?? [])].map(([name, { digest }]) => [name, digest]),
    instances: [...(snapshot?.instances ?? [])].map(([name, { digest }]) => [name, digest]),
    vocabulary: [...(snapshot?.vocabulary ?? [])],
  }
}

const object = (api: string, kind: string, name: string, spec: string) =>
  `apiVersion: ${api}\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: ${spec}\n`
const mixer = (kind: string, name: string, spec: string) => object('config.istio.io/v1alpha2', kind, name, spec)
const ours = (kind: string, name: string, spec: string) => object('intermix.dev/v1', kind, name, spec)

/** Objects of which any selection may be a config, right or wrong. */
const POOL = [
  MANIFEST,
  mixer('attributemanifest', 'more', '{attributes: {request.size: {valueType: STRING}}}'),
  mixer('attributemanifest', 'more', '{attributes: {more.words: {valueType: STRING}}}'),
  ...['{compiledAdapter: denier}', '{compiledAdapter: lister, params: {overrides: [a]}}', '{compiledAdapter: no}'].map(
    (spec) => mixer('handler', 'h', spec),
  ),
  ours('handler', 'g', '{adapter: denier}'),
  mixer('instance', 'i', '{compiledTemplate: checknothing}'),
  mixer('instance', 'i', '{compiledTemplate: listentry, params: {value: request.path}}'),
  mixer('instance', 'j', '{compiledTemplate: listentry, params: {value: request.id}}'),
  mixer('rule', 'a', '{match: request.size > 5, actions: [{handler: h, instances: [i]}]}'),
  mixer('rule', 'a', '{match: request.path == "/", actions: [{handler: h.handler, instances: [i, j]}]}'),
  ours('rule', 'b', '{actions: [{handler: {name: x, adapter: denier}, instances: [{template: checknothing}]}]}'),
  ours('rule', 'c', '{actions: [{handler: x, instances: [b-1-1]}]}'),
  ours('rule', 'd', '{match: request.path == "/", actions: [{handler: {name: x, adapter: denier}, instances: [i]}]}'),
  ours('handler', 'x', '{adapter: denier}'),
  mixer('rule', 'e', '{match: more.words == "x", actions: [{handler: g, instances: [i]}]}'),
].map((text, number) => parseConfigText(`${number}.yaml`, text))

describe('a compiler that has seen other configs', () => {
  it('makes of every config what one without a memory makes of it', () => {
    const configs = fc.array(fc.subarray(POOL), { minLength: 2, maxLength: 12 })
    fc.assert(
      fc.property(configs, fc.boolean(), (selections, requireRules) => {
        const compiler = new SnapshotCompiler({ ...OPTIONS, requireRules })
        for (const parts of selections) {
          const loaded = join(parts)
          expect(facts(atOnce(compiler.compile(loaded)))).toEqual(
            facts(compileSnapshot(loaded, { ...OPTIONS, requireRules })),
          )
        }
      }),
      { numRuns: 300 },
    )
  })

  const base = parseConfigText('base.yaml', [MANIFEST, DENY].join('---'))
  const rule = (name: string, path: string) =>
    parseConfigText(
      `${name}.yaml`,
      mixer('rule', name, `{match: request.path == "${path}", actions: [{handler: deny, instances: [nothing]}]}`),
    )

  it('compiles only what has changed', () => {
    const compiler = new SnapshotCompiler(OPTIONS)
    const compile = (...parts: LoadedConfig[]) => atOnce(compiler.compile(join(parts))).snapshot
    const a = rule('a', '/a')
    const first = compile(base, a, rule('b', '/b'))
    const second = compile(base, a, rule('b', '/c'))
    expect(second?.rules[0]).toBe(first?.rules[0])
    expect(second?.rules[1]).not.toBe(first?.rules[1])
    expect(second?.rules[1]?.match?.source).toContain('/c')
    expect(second?.handlers.get('deny.handler.istio-system')).toBe(first?.handlers.get('deny.handler.istio-system'))
    expect(second?.vocabulary).toBe(first?.vocabulary)
    expect(second?.id).not.toBe(first?.id)
  })

  it('compiles a rule again when its handler is another one', () => {
    const compiler = new SnapshotCompiler(OPTIONS)
    const compile = (...parts: LoadedConfig[]) => atOnce(compiler.compile(join(parts))).snapshot
    const a = rule('a', '/a')
    const other = parseConfigText(
      'base.yaml',
      [MANIFEST, DENY.replace('denier}', 'denier, params: {status: {code: 7}}}')].join('---'),
    )
    const [first, second] = [compile(base, a), compile(other, a)]
    expect(second?.rules[0]?.actions[0]?.handler).toBe(second?.handlers.get('deny.handler.istio-system'))
    expect(second?.rules[0]?.digest).not.toBe(first?.rules[0]?.digest)
  })
})

describe('a config without rules', () => {
  it('is warned of, and refused where rules are required', () => {
    const loaded = { ...join([parseConfigText('base.yaml', [MANIFEST, DENY].join('---'))]), name: '/etc/config' }
    const warned = compileSnapshot(loaded, OPTIONS)
    expect(warned.snapshot).toBeDefined()
    expect(warned.problems.find(({ code }) => code === 'no-rules')).toMatchObject({
      severity: 'warning',
      file: '/etc/config',
      message: expect.stringContaining('every check is allowed') as unknown,
    })
    const refused = compileSnapshot(loaded, { ...OPTIONS, requireRules: true })
    expect(refused.snapshot).toBeUndefined()
    expect(refused.problems.find(({ code }) => code === 'no-rules')).toMatchObject({ severity: 'error' })
  })
})
