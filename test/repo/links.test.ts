// Links between our documents lead to files that exist, and to headings that they have.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const listed = execFileSync('git', ['ls-files', '*.md'], { cwd: root, encoding: 'utf8' })
const documents = listed.split('\n').filter((path) => path !== '' && existsSync(join(root, path)))

/** Code is no link, and its comments are no headings. */
const proseOf = (text: string) =>
  text.replace(/^ *```[\s\S]*?^ *```/gm, '').replace(/`[^`\n]*`/g, (code) => code.replace(/[[\]]/g, ''))

/** Anchors as GitHub makes them of headings. */
function anchorsOf(path: string): Set<string> {
  const headings = [...proseOf(read(path)).matchAll(/^#+ (.*)$/gm)].map(([, text = '']) => text)
  return new Set(
    headings.map((text) =>
      text
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

it('finds what the documents link to', () => {
  expect(documents.length).toBeGreaterThan(20)
  const dead: string[] = []
  for (const from of documents) {
    for (const [, target = ''] of proseOf(read(from)).matchAll(/\]\((?![a-z]+:)([^)\s]+)\)/g)) {
      const [path = '', anchor] = target.split('#')
      const to = path === '' ? from : normalize(join(dirname(from), path))
      if (!existsSync(join(root, to))) dead.push(`${from}: ${target}: there is no such file`)
      else if (anchor !== undefined && !anchorsOf(to).has(anchor))
        dead.push(`${from}: ${target}: there is no such heading`)
    }
  }
  expect(dead).toEqual([])
})
