// What the published package holds: every file that its documents link to, and nothing that only developers need.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** The files of the tarball; `dist` is left out, since packing here builds nothing. */
function packed(): string[] {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts']
  const { stdout } = spawnSync('npm', args, { cwd: root, encoding: 'utf8' })
  const [tarball] = JSON.parse(stdout) as [{ readonly files: readonly { readonly path: string }[] }]
  return tarball.files.map(({ path }) => path)
}

/** The files and folders of this project that a document links to. */
function linked(document: string): string[] {
  const text = readFileSync(join(root, document), 'utf8')
  const targets = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, target = '']) => target)
  const local = targets.filter((target) => !/^[a-z]+:/.test(target))
  return local.map((target) => normalize(join(dirname(document), target)))
}

describe('the published package', () => {
  const files = packed()

  it('holds what its documents link to', () => {
    const documents = files.filter((path) => path.endsWith('.md'))
    expect(documents).toEqual(expect.arrayContaining(['README.md', 'CHANGELOG.md', 'src/adapters/http/README.md']))
    const missing = documents.flatMap((document) =>
      linked(document)
        .filter((path) => !files.some((file) => file === path || file.startsWith(`${path.replace(/\/$/, '')}/`)))
        .map((path) => `${document} links to ${path}`),
    )
    expect(missing).toEqual([])
  })

  it('links to nothing that is not there', () => {
    for (const document of [
      'README.md',
      'DEVELOPING.md',
      'docs/decisions/README.md',
      'docs/requests.md',
      'examples/README.md',
    ]) {
      expect(linked(document).filter((path) => !existsSync(join(root, path)))).toEqual([])
    }
  })

  it('holds no tests, and no sources but documents and schemas of ours', () => {
    expect(files.filter((path) => /^(test|load|src|workers)\//.test(path) && !/\.(md|proto)$/.test(path))).toEqual([])
    const bytes = files.filter((path) => !path.startsWith('dist/')).map((path) => statSync(join(root, path)).size)
    expect(bytes.reduce((sum, size) => sum + size, 0)).toBeLessThan(1024 * 1024)
  })
})
