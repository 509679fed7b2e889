// The command that runs expression cases, as a person calls it.
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'

const command = join(import.meta.dirname, 'run-cases.ts')
const folders: string[] = []

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true })
})

async function run(files: Readonly<Record<string, unknown>>, args: readonly string[] = ['cases.json']) {
  const folder = await mkdtemp(join(tmpdir(), 'intermix-cases-'))
  folders.push(folder)
  for (const [name, json] of Object.entries(files)) await writeFile(join(folder, name), JSON.stringify(json))
  const child = spawn(process.execPath, [command, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  const code = new Promise<number | null>((resolve) => {
    child.once('exit', resolve)
  })
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { code: await code, out, err }
}

const passing = {
  id: 1,
  dialect: 'CEXL',
  expr: 'a == 2',
  attributes: { a: 'INT64' },
  input: { a: 2 },
  inputTypes: { a: 'INT64' },
}

describe('the expression cases', () => {
  it('counts what passed and shows what failed, with the reason', async () => {
    const cases = [
      { ...passing, expect: 'value', kind: 'BOOL', result: true, referenced: ['a'] },
      { ...passing, id: 'two', expect: 'value', result: false },
      { ...passing, id: 3, expect: 'runtimeError', runtimeError: 'x', runtimeErrorMatch: 'prefix' },
      { ...passing, id: 4, expr: 'b', expect: 'compileError', compileError: 'unknown attribute b' },
      { ...passing, id: 5, expect: 'value', result: true, referenced: ['a', 'b'] },
    ]
    const { code, out } = await run({ 'cases.json': cases })
    expect(code).toBe(1)
    expect(out.trimEnd().split('\n')).toEqual([
      'two: a == 2: result: expected false, got true',
      '3: a == 2: expected a run-time error, got true',
      '5: a == 2: reads: expected ["a","b"], got ["a"]',
      '2 passed, 3 failed',
    ])
  })

  it('finds manifests beside the file', async () => {
    const cases = [{ id: 1, dialect: 'CEXL', expr: 'a', manifest: 'm', expect: 'type', kind: 'INT64' }]
    const files = { 'cases.json': cases, 'cexl-manifests.json': { m: { a: 'INT64' } } }
    expect(await run(files)).toEqual({ code: 0, out: '1 passed, 0 failed\n', err: '' })
  })

  it('names every mistake in the file', async () => {
    const cases = [
      { ...passing, expect: 'value', reslt: true },
      { id: 2, dialect: 'SQL', expr: '1', expect: 'value' },
    ]
    const { code, err } = await run({ 'cases.json': cases })
    expect(code).toBe(2)
    expect(err).toContain('cases.json: 0: Unrecognized key: "reslt"')
    expect(err).toContain('cases.json: 1.dialect: Invalid option')
  })

  it('handles each kind of expectation', async () => {
    const cases = [
      { id: 1, dialect: 'CEXL', expr: 'a.b.c() == 2', expect: 'parse', ast: 'EQ($a.b:c(), 2)' },
      { id: 2, dialect: 'CEXL', expr: 'a == "x" && b', expect: 'eqMatches', eqMatches: { a: 'x' } },
      { id: 3, dialect: 'CEXL', expr: '"10s"', expect: 'constant', literal: true, kind: 'DURATION', result: '10s' },
      { id: 4, dialect: 'CEXL+CEL', expr: 'a.b | "x"', attributes: { 'a.b': 'STRING' }, expect: 'compiles' },
      {
        id: 5,
        dialect: 'CEXL',
        expr: 'as | "d"',
        attributes: { as: 'STRING' },
        expect: 'value',
        result: 'd',
        celResult: '',
      },
      {
        id: 6,
        dialect: 'CEL',
        expr: '1 / 0',
        expect: 'runtimeError',
        runtimeError: 'divide',
        runtimeErrorMatch: 'contains',
      },
    ]
    expect(await run({ 'cases.json': cases })).toEqual({ code: 0, out: '6 passed, 0 failed\n', err: '' })
  })

  it('says why a file cannot be read, and how it is called', async () => {
    expect(await run({})).toMatchObject({ code: 2, out: '', err: expect.stringContaining('no such file') })
    expect(await run({ 'cases.json': 'x' })).toMatchObject({
      code: 2,
      err: expect.stringMatching(/cases\.json: .*array/),
    })
    const withoutManifests = [{ id: 1, dialect: 'CEXL', expr: 'a', manifest: 'm', expect: 'type' }]
    expect(await run({ 'cases.json': withoutManifests })).toMatchObject({
      code: 2,
      err: expect.stringContaining('cexl-manifests.json'),
    })
    expect(await run({}, [])).toEqual({ code: 2, out: '', err: 'Usage: node test/expression/run-cases.ts FILE.json\n' })
  })
})
