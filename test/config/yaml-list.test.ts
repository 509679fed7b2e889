import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LineCounter, parseAllDocuments } from 'yaml'
import { type ConfigNode, isNodeIssue, readNodes } from '../../src/config/config-node.ts'
import { parseConfigText } from '../../src/config/load.ts'
import { parsing } from '../../src/config/parse-text.ts'

/** Every value with its path and its place. */
function places(node: ConfigNode): readonly string[] {
  if (node.kind === 'scalar') return [`${node.path} @${node.offset} ${typeof node.value} ${node.text}`]
  const below =
    node.kind === 'list'
      ? node.items.flatMap(places)
      : node.entries.flatMap(({ keyNode, value }) => [`key ${keyNode.path} @${keyNode.offset}`, ...places(value)])
  return [`${node.kind} ${node.path} @${node.offset}`, ...below]
}

/** What the library reads of the whole text: objects, or the items of lists. */
function reference(text: string) {
  const lines = new LineCounter()
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, strict: true })
  const objects = documents.flatMap((document) => {
    const root = readNodes(document, { name: 't', text, lines })
    if (isNodeIssue(root) || root.kind !== 'map') return []
    const items = root.entries.find(({ key }) => key === 'items')?.value
    const isList = root.entries.some(
      ({ key, value }) => key === 'kind' && value.kind === 'scalar' && value.text === 'List',
    )
    return isList && items?.kind === 'list' ? items.items.filter((item) => item.kind === 'map') : [root]
  })
  return { objects: objects.map(places), errors: documents.flatMap(({ errors }) => errors.map(({ pos }) => pos[0])) }
}

function read(text: string) {
  return parseConfigText('t', text).documents.map(({ root }) => places(root))
}

const object = fc
  .record({
    name: fc.stringMatching(/^[a-z]{1,8}$/),
    text: fc.constantFrom(
      'a && b',
      '"x: y"',
      "'it''s'",
      '|\n    several\n    lines',
      '5',
      'true',
      '{a: [1, 2]}',
      '# no',
      '""',
    ),
    comment: fc.constantFrom('', '# a comment\n', '\n'),
  })
  .map(({ name, text, comment }) => ({
    comment,
    lines: `apiVersion: v1\nmetadata: {name: ${name}}\nspec:\n  value: ${text}`,
  }))

const list = fc
  .record({
    items: fc.array(object, { minLength: 14, maxLength: 24 }),
    indent: fc.constantFrom('', '  ', '    '),
    kind: fc.constantFrom('List', 'List', 'List', '"List"', 'Other'),
    last: fc.boolean(),
    extra: fc.constantFrom('', '', '', '- &a {b: *a}\n', '- !tag {a: 1}\n', '- text\n', '-\n', '- {a: 1}\n'),
  })
  .map(({ items, indent, kind, last, extra }) => {
    const written = items.map(
      ({ comment, lines }) => `${comment}${indent}- ${lines.replaceAll('\n', `\n${indent}  `)}\n`,
    )
    const head = `apiVersion: v1\nkind: ${kind}\n`
    const body = `items:\n${written.join('')}${extra === '' ? '' : indent + extra}`
    return last ? head + body : `${head}${body}metadata: {resourceVersion: ""}\n`
  })

describe('a list that is taken apart', () => {
  it('gives the objects, paths and places that the whole gives', () => {
    fc.assert(
      fc.property(
        fc.array(list, { minLength: 1, maxLength: 3 }),
        fc.constantFrom('', '%YAML 1.1\n---\n'),
        (lists, before) => {
          const text = before + lists.join('---\n')
          const expected = reference(text)
          if (expected.errors.length === 0) expect(read(text)).toEqual(expected.objects)
          else expect(parseConfigText('t', text).problems.length).toBeGreaterThan(0)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('pauses between its objects, and as a whole where one refers to another', () => {
    const items = Array.from({ length: 1_000 }, (_, i) => `- kind: rule\n  name: r${i}\n`)
    const pauses = (text: string) => [...parsing('t', text)].length
    const apart = pauses(`kind: List\nitems:\n${items.join('')}`)
    const whole = pauses(`kind: List\nitems:\n${items.join('')}- kind: &a rule\n  name: *a\n`)
    expect(apart).toBeGreaterThan(whole + 2_000)
  })

  it('is refused for the same mistakes, at the same places', () => {
    const items = Array.from({ length: 20 }, (_, i) => `- {kind: rule, metadata: {name: r${i}}}`)
    for (const mistake of ['- kind: [', '- kind: a\n  kind: b', '- "kind', '  - kind: a\n -x', '-\tkind: a']) {
      const text = `kind: List\nitems:\n${[...items.slice(0, 19).map((item) => item.replace(/[{}]/, '')), mistake].join('\n')}\n`
      const block = `kind: List\nitems:\n${[...Array.from({ length: 20 }, (_, i) => `- kind: rule\n  name: r${i}`), mistake].join('\n')}\n`
      for (const each of [text, block]) {
        const { errors } = reference(each)
        const found = parseConfigText('t', each).problems.filter(({ code }) => code === 'yaml-syntax')
        expect([mistake, found.length > 0]).toEqual([mistake, errors.length > 0])
      }
    }
  })
})
