import { expect, it } from 'vitest'
import { ConfigTexts, loadConfigTexts } from '../../src/config/config-texts.ts'
import { loadConfigFolder } from '../../src/config/load.ts'
import { atOnce } from '../../src/config/slices.ts'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { readVersionFolder } from '../../src/rollout/read-folder.ts'
import { builtInAdapters } from '../../src/adapters/index.ts'
import { DENY, MANIFEST } from './compile.ts'

const FILES = [
  { path: 'b.yaml', text: DENY },
  { path: 'a.yaml', text: MANIFEST },
]

it('reads files in the order of their paths, however they are given', () => {
  const loaded = loadConfigTexts('v1', FILES)
  expect(loaded.documents.map(({ root }) => root.file.name)).toEqual(['a.yaml', 'b.yaml', 'b.yaml'])
  expect(loadConfigTexts('v1', FILES.toReversed()).digest).toBe(loaded.digest)
})

it('does not read a file again that comes again unchanged', () => {
  const texts = new ConfigTexts('a Redis')
  const [first] = atOnce(texts.load(FILES)).documents
  const changed = [FILES[1], { path: 'b.yaml', text: `${DENY}\n# a word` }].filter((file) => file !== undefined)
  const again = atOnce(texts.load(changed))
  expect(again.documents[0]).toBe(first)
  expect(again.documents).toHaveLength(3)
})

it('has no files, and says so', () => {
  expect(loadConfigTexts('v1', []).problems).toMatchObject([{ severity: 'error', code: 'empty-folder', file: 'v1' }])
})

it('makes the same config of a folder as the folder itself', async () => {
  const options = { adapters: builtInAdapters() }
  const folder = compileSnapshot(await loadConfigFolder('examples/quickstart'), options)
  const texts = compileSnapshot(loadConfigTexts('v1', await readVersionFolder('examples/quickstart')), options)
  expect(texts.snapshot?.id).toBe(folder.snapshot?.id)
  expect(texts.snapshot?.rules.map((rule) => rule.digest)).toEqual(folder.snapshot?.rules.map((rule) => rule.digest))
})
