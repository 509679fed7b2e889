// The page of the library, taken at its word: it shows the examples as they are, and they do what it says.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Child, spawnChild } from '../helpers/process.ts'
import { type Intermix, ROOT, startIntermix } from '../whole/intermix.ts'

const page = readFileSync(join(ROOT, 'docs/client-library.md'), 'utf8')
const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  readonly exports: Readonly<Record<string, unknown>>
}
const example = (name: string) => readFileSync(join(ROOT, 'examples/client', name), 'utf8')

/** What the package exports, led to the sources from which it is built. */
const sources = Object.entries(exports)
  .filter(([name]) => name.startsWith('./client'))
  .map(([name, built]) => {
    const { default: file } = built as { readonly default: string }
    const source = file.replace('./dist/', '').replace(/js$/, 'ts')
    return [`intermix${name.slice(1)}`, new URL(source, pathToFileURL(ROOT)).href] as const
  })
const hooks = `import { registerHooks } from 'node:module'
const sources = new Map(${JSON.stringify(sources)})
registerHooks({ resolve: (name, context, next) => next(sources.get(name) ?? name, context) })`
const asInstalled = ['--import', `data:text/javascript,${encodeURIComponent(hooks)}`]

describe('the page of the library', () => {
  let node: Intermix
  let server: Child | undefined
  let env: Record<string, string>

  beforeAll(async () => {
    node = await startIntermix({ role: 'all', config: 'examples/quickstart', nodeId: 'n1', flags: [] })
    env = { INTERMIX_NODE: `127.0.0.1:${node.grpcPort}`, PORT: '0' }
  })
  afterAll(async () => {
    await server?.stop()
    await node.child.stop()
  })

  it('shows the examples as they are', () => {
    for (const name of ['check.mjs', 'server.mjs']) expect(page).toContain(`\`\`\`js\n${example(name)}\`\`\``)
  })

  it('says what the first one prints', () => {
    const args = [...asInstalled, 'examples/client/check.mjs']
    const { stdout, stderr } = spawnSync(process.execPath, args, {
      cwd: ROOT,
      encoding: 'utf8',
      env: { ...process.env, ...env },
    })
    expect(stderr).toBe('')
    expect(page).toContain(`\`\`\`\n${stdout}\`\`\``)
  })

  it('shows a server that does what policy says', async () => {
    server = await spawnChild(process.execPath, [...asInstalled, 'examples/client/server.mjs'], { cwd: ROOT, env })
    const [, address = ''] = await server.waitForOutput(/listening at (\S+)/, 60_000)
    const get = async (path: string) => {
      const answer = await fetch(address + path)
      return [answer.status, await answer.text()]
    }
    expect(await get('/')).toEqual([200, 'welcome\n'])
    expect(await get('/admin')).toEqual([403, expect.stringContaining('the admin pages are closed')])
    expect(await get('/remote')).toEqual([403, expect.stringContaining('the admin pages are closed')])
  })

  it('names what the package exports', () => {
    expect(sources.length).toBe(5)
    for (const [name] of sources) expect(page).toContain(`'${name}'`)
  })
})
