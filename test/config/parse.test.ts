import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ConfigNode, type ScalarNode, toPlain } from '../../src/config/config-node.ts'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { parseConfigText } from '../../src/config/load.ts'
import { offsetInScalar } from '../../src/config/scalar-offset.ts'
import { TEST_ADAPTERS } from './adapters.ts'
import { compile, DENY, MANIFEST } from './compile.ts'

const good = readdirSync(join(import.meta.dirname, '../../examples/istio')).map((name) =>
  readFileSync(join(import.meta.dirname, '../../examples/istio', name), 'utf8'),
)

function scalarAt(text: string, key: string): ScalarNode {
  const root: ConfigNode | undefined = parseConfigText('t', text).documents[0]?.root
  const value = root?.kind === 'map' ? root.entries.find((entry) => entry.key === key)?.value : undefined
  if (value?.kind !== 'scalar') throw new Error(`no scalar at ${key}`)
  return value
}

it('merges maps as YAML does: what stands in a map replaces what is merged', () => {
  const { documents, problems } = parseConfigText(
    'm.yaml',
    'kind: x\nbase: &b {a: 1, deep: {p: 1, q: 2}}\nown: {<<: *b, deep: {p: 3}, c: 4}\n',
  )
  expect(problems).toEqual([])
  const base = { a: 1, deep: { p: 1, q: 2 } }
  expect(documents.map(({ root }) => toPlain(root))).toEqual([{ kind: 'x', base, own: { a: 1, deep: { p: 3 }, c: 4 } }])
})

describe('parsing config text', () => {
  it('never throws, whatever the text', () => {
    const piece = fc.constantFrom(
      ...'{}[]:,-#&*!|>"\'%@`\n\n  '.split(''),
      'kind',
      'rule',
      'apiVersion: intermix.dev/v1\n',
      '&a',
      '*a',
      '---\n',
      '\\x',
      '\t',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece, { maxLength: 60 }).map((parts) => parts.join('')),
        ),
        (text) => {
          compileSnapshot(parseConfigText('t', text), { adapters: TEST_ADAPTERS })
        },
      ),
      { numRuns: 500 },
    )
  })

  it('never throws for a good config with a part cut out or written over', () => {
    const mutation = fc.record({ file: fc.nat(), at: fc.nat(), length: fc.nat(40), text: fc.string({ maxLength: 8 }) })
    fc.assert(
      fc.property(mutation, ({ file, at, length, text }) => {
        const source = good[file % good.length] ?? ''
        const from = at % source.length
        const changed = source.slice(0, from) + text + source.slice(from + length)
        compileSnapshot(parseConfigText('t', changed), { adapters: TEST_ADAPTERS })
      }),
      { numRuns: 150 },
    )
  })

  it('bounds aliases that multiply, cycles and depth', () => {
    const bomb = [
      'a0: &a0 x',
      ...Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}, *a${i}]`),
    ]
    expect(parseConfigText('t', bomb.join('\n')).problems[0]?.message).toMatch(/more than 200000 values/)
    expect(parseConfigText('t', 'a: &a [*a]').problems[0]?.severity).toBe('error')
    expect(parseConfigText('t', `a: ${'['.repeat(150)}${']'.repeat(150)}`).problems[0]?.message).toMatch(
      /deeper than 100/,
    )
    expect(parseConfigText('t', '['.repeat(20_000)).problems[0]?.severity).toBe('error')
  })

  it('expands aliases', () => {
    const root = parseConfigText('t', 'a: &x {b: [1]}\nc: *x').documents[0]?.root
    expect(root && toPlain(root)).toEqual({ a: { b: [1] }, c: { b: [1] } })
  })

  it('bounds the number of problems', () => {
    const rule = (i: number) => `{apiVersion: intermix.dev/v1, kind: rule, metadata: {name: r${i}}, spec: {matsch: 1}}`
    const { problems } = compile(MANIFEST, DENY, ...Array.from({ length: 1200 }, (_, i) => rule(i)))
    expect(problems).toHaveLength(1000)
  })
})

describe('the place of a character within a scalar', () => {
  const styles = {
    plain: 'k: ab cd ef',
    'plain over lines': 'k: ab cd\n   ef gh\n   ij',
    single: "k: 'it''s ''a'' text'",
    'single over lines': "k: 'it''s\n  a\n  ''text'''",
    double: 'k: "a \\"b\\" \\x41 \\u0042 \\t\\U0001F600 c"',
    'double over lines': 'k: "a \\\n  b\n  c"',
  }
  it.each(Object.entries(styles))('%s', (_, text) => {
    const scalar = scalarAt(text, 'k')
    const letters = [...scalar.text.matchAll(/[a-z]/g)]
    const found = letters.map(({ index }) => text[offsetInScalar(scalar, index)])
    expect(found).toEqual(letters.map(([letter]) => letter))
  })

  it('is the line for block scalars', () => {
    const text = 'k: |\n  ab\n  cd\n'
    const scalar = scalarAt(text, 'k')
    expect(offsetInScalar(scalar, scalar.text.indexOf('d'))).toBe(text.indexOf('cd'))
  })
})
