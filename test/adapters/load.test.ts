import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adapterConformance, createCall, createTestEnvironment, ManualClock } from '../../src/adapter-kit/index.ts'
import { builtInAdapters } from '../../src/adapters/index.ts'
import { loadAdapters } from '../../src/adapters/load.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const SAMPLE = 'examples/adapters/office-hours.ts'

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'intermix-adapters-'))
})

afterAll(() => rm(folder, { recursive: true }))

const source = (name: string, rest = '') => `{
  name: '${name}', description: 'test', templates: ['checknothing'], doesIo: false,
  config: { safeParse: (data) => ({ success: true, data }) }, create: () => ({}), ${rest} }`

const load = (spec: string, from = folder) => loadAdapters(spec, { from, known: builtInAdapters() })

async function problemOf(spec: string): Promise<string> {
  const error = await load(spec).catch((caught: unknown) => caught)
  expect(error).toMatchObject({ code: 'INVALID_SETTING' })
  return (error as Error).message
}

describe('loading adapters', () => {
  it('gives the built-in ones where none are named', async () => {
    expect(await load(' , ')).toEqual(builtInAdapters())
  })

  it('loads the sample beside the built-in ones', async () => {
    const all = await load(SAMPLE, ROOT)
    expect(all.size).toBe(builtInAdapters().size + 1)
    expect(all.get('officehours')?.description).toBe('Allows requests during office hours')
    expect((await load('examples/adapters', ROOT)).has('officehours')).toBe(true)
  })

  it('loads arrays, folders and installed packages', async () => {
    await writeFile(join(folder, 'two.mjs'), `export default [${source('one')}, ${source('two')}]`)
    await mkdir(join(folder, 'more'))
    await writeFile(join(folder, 'more/a.mjs'), `export default ${source('three')}`)
    await writeFile(join(folder, 'more/notes.txt'), 'not a module')
    const installed = join(folder, 'node_modules/@acme/intermix-four')
    await mkdir(installed, { recursive: true })
    await writeFile(
      join(installed, 'package.json'),
      '{"name":"@acme/intermix-four","type":"module","main":"./main.js"}',
    )
    await writeFile(join(installed, 'main.js'), `export default ${source('four')}`)
    const all = await load('two.mjs, more ,@acme/intermix-four')
    expect([...all.keys()].slice(-4)).toEqual(['one', 'two', 'three', 'four'])
  })

  it('reports everything that is wrong, each with its module', async () => {
    await writeFile(join(folder, 'none.mjs'), 'export const adapter = 1')
    await writeFile(join(folder, 'throws.mjs'), "throw new Error('no licence')")
    await writeFile(join(folder, 'taken.mjs'), `export default ${source('denier')}`)
    await writeFile(join(folder, 'again.mjs'), `export default [${source('same')}, ${source('same')}]`)
    await writeFile(join(folder, 'odd.mjs'), `export default ${source('Odd', "templates: ['quotas'], create: 7")}`)
    await mkdir(join(folder, 'empty'))
    const message = await problemOf('none.mjs,throws.mjs,taken.mjs,again.mjs,odd.mjs,empty,./gone.mjs,no-such-package')
    expect(message).toContain('none.mjs: has no default export')
    expect(message).toContain('throws.mjs: no licence')
    expect(message).toContain('taken.mjs: the name "denier" is taken by a built-in adapter')
    expect(message).toContain('again.mjs: the name "same" is taken by again.mjs')
    expect(message).toContain('odd.mjs: name: must be lower-case')
    expect(message).toContain('odd.mjs: create: must be a function')
    expect(message).toContain('empty: the folder holds no module')
    expect(message).toContain('./gone.mjs: there is no such file')
    expect(message).toMatch(/no-such-package: .*no-such-package/)
  })

  it('names templates that do not exist', async () => {
    await writeFile(join(folder, 'templates.mjs'), `export default ${source('odd', "templates: ['quotas']")}`)
    expect(await problemOf('templates.mjs')).toContain('"quotas" is none of checknothing, listentry')
  })

  it('says what is wrong with templates of an adapter', async () => {
    const template = (rest: string) => `templates: [{ ${rest} }]`
    const modules = {
      name: template(`name: 'Pass port', variety: 'check', fields: {}`),
      variety: template(`name: 'passport', variety: 'chekc', fields: {}`),
      fields: template(
        `name: 'passport', variety: 'check', fields: { visa: { message: { days: 'INT' } }, a_b: 'BOOL' }`,
      ),
      none: template(`name: 'passport', variety: 'check'`),
      output: template(`name: 'passport', variety: 'report', fields: {}, output: { full: 'VALUE' }`),
      taken: template(`name: 'listentry', variety: 'check', fields: { value: 'STRING' }`),
      twice: `templates: ['quota', { name: 'quota', variety: 'quota', fields: { dimensions: 'VALUE_MAP' } }]`,
    }
    for (const [name, rest] of Object.entries(modules))
      await writeFile(join(folder, `t-${name}.mjs`), `export default ${source(`t${name}`, rest)}`)
    const message = await problemOf(
      Object.keys(modules)
        .map((name) => `t-${name}.mjs`)
        .join(','),
    )
    expect(
      message
        .split('\n')
        .slice(1)
        .map((line) => line.slice(0, 80)),
    ).toMatchInlineSnapshot(`
      [
        "t-name.mjs: templates: "Pass port": name: must be lower-case letters and digits,",
        "t-variety.mjs: templates: "passport": variety: must be one of check, quota, repo",
        "t-fields.mjs: templates: "passport": fields.visa.days: must be one of STRING, IN",
        "t-fields.mjs: templates: "passport": fields.a_b: a field has a name in camelCase",
        "t-none.mjs: templates: "passport": fields: must be an object of types by name",
        "t-output.mjs: templates: "passport": output: only templates of variety attribute",
        "t-output.mjs: templates: "passport": output.full: must be one of STRING, INT64, ",
        "t-taken.mjs: templates: there is another template "listentry" already: give this",
        "t-twice.mjs: templates: "quota" stands twice",
      ]
    `)
  })

  it('lets adapters share a template, and no two templates a name', async () => {
    const passport = (type: string) => `templates: [{ name: 'passport', variety: 'check', fields: { id: '${type}' } }]`
    await writeFile(
      join(folder, 'same.mjs'),
      `export default [${source('pa', passport('STRING'))}, ${source('pb', passport('STRING'))}]`,
    )
    expect((await load('same.mjs')).has('pb')).toBe(true)
    await writeFile(join(folder, 'other.mjs'), `export default ${source('pc', passport('INT64'))}`)
    expect(await problemOf('same.mjs,other.mjs')).toContain(
      'other.mjs: templates: there is another template "passport" already',
    )
  })
})

describe('the sample adapter', async () => {
  const { default: officeHours } = await import('../../examples/adapters/office-hours.ts')

  it.each(adapterConformance(officeHours))('$name', ({ run }) => run())

  it.each([
    ['2026-01-15T12:20:00Z', 0, 2_400_000],
    ['2026-01-15T08:59:59Z', 7, 1_000],
    ['2026-01-15T17:00:00Z', 7, 3_600_000],
    ['2026-01-17T12:00:00Z', 7, 3_600_000],
  ])('answers at %s with code %d for %d ms', (time, code, validForMs) => {
    const env = createTestEnvironment({ clock: new ManualClock(Date.parse(time)) })
    const handler = officeHours.create(officeHours.config.parse({}), env)
    const answer = handler.check?.checknothing?.({ name: 'i', template: 'checknothing', fields: {} }, createCall(env))
    expect(answer).toMatchObject({ status: { code }, validForMs })
  })
})
