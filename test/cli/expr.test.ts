import { describe, expect, it } from 'vitest'
import { runExpr } from '../../src/cli/expr.ts'

async function run(args: readonly string[], files: Readonly<Record<string, unknown>> = {}) {
  const out: string[] = []
  const err: string[] = []
  const code = await runExpr(args, {
    out: (line) => out.push(line),
    err: (line) => err.push(line),
    async readFile(path) {
      if (!(path in files)) throw new Error(`no such file: ${path}`)
      return await Promise.resolve(JSON.stringify(files[path]))
    },
  })
  return { code, out: out.join('\n'), err: err.join('\n') }
}

const passing = {
  id: 1,
  dialect: 'CEXL',
  expr: 'a == 2',
  attributes: { a: 'INT64' },
  input: { a: 2 },
  inputTypes: { a: 'INT64' },
}

describe('expr test', () => {
  it('counts what passed and shows what failed, with the reason', async () => {
    const cases = [
      { ...passing, expect: 'value', kind: 'BOOL', result: true, referenced: ['a'] },
      { ...passing, id: 'two', expect: 'value', result: false },
      { ...passing, id: 3, expect: 'runtimeError', runtimeError: 'x', runtimeErrorMatch: 'prefix' },
      { ...passing, id: 4, expr: 'b', expect: 'compileError', compileError: 'unknown attribute b' },
      { ...passing, id: 5, expect: 'value', result: true, referenced: ['a', 'b'] },
    ]
    const { code, out } = await run(['test', 'dir/cases.json'], { 'dir/cases.json': cases })
    expect(code).toBe(1)
    expect(out.split('\n')).toEqual([
      'two: a == 2: result: expected false, got true',
      '3: a == 2: expected a run-time error, got true',
      '5: a == 2: reads: expected ["a","b"], got ["a"]',
      '2 passed, 3 failed',
    ])
  })

  it('finds manifests beside the file', async () => {
    const cases = [{ id: 1, dialect: 'CEXL', expr: 'a', manifest: 'm', expect: 'type', kind: 'INT64' }]
    const files = { 'dir/cases.json': cases, 'dir/cexl-manifests.json': { m: { a: 'INT64' } } }
    expect(await run(['test', 'dir/cases.json'], files)).toEqual({ code: 0, out: '1 passed, 0 failed', err: '' })
  })

  it('names every mistake in the file', async () => {
    const cases = [
      { ...passing, expect: 'value', reslt: true },
      { id: 2, dialect: 'SQL', expr: '1', expect: 'value' },
    ]
    const { code, err } = await run(['test', 'c.json'], { 'c.json': cases })
    expect(code).toBe(2)
    expect(err).toContain('c.json: 0: Unrecognized key: "reslt"')
    expect(err).toContain('c.json: 1.dialect: Invalid option')
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
    expect(await run(['test', 'c.json'], { 'c.json': cases })).toEqual({ code: 0, out: '6 passed, 0 failed', err: '' })
  })
})

describe('expr eval', () => {
  it('prints the value as JSON', async () => {
    const attributes = '{"request.size": 5, "request.headers": {"a": "x"}}'
    const { code, out } = await run(['eval', 'request.size + size(request.headers["a"])', '--attributes', attributes])
    expect([code, out]).toEqual([0, '6'])
  })

  it('takes types from a manifest, and both from files', async () => {
    const files = { m: { all: { 'source.ip': 'IP_ADDRESS', as: 'STRING' } }, a: { 'source.ip': '10.0.0.1' } }
    const args = [
      'eval',
      'source.ip == ip("10.0.0.1") && as == ""',
      '--dialect',
      'cel',
      '--manifest',
      '@m',
      '--attributes',
      '@a',
    ]
    expect(await run(args, files)).toEqual({ code: 0, out: 'true', err: '' })
  })

  it('says why there is no value', async () => {
    const { code, err } = await run(['eval', 'as', '--manifest', '{"as": "STRING"}'])
    expect([code, err]).toEqual([1, "failed: lookup failed: 'as'"])
  })

  it.each([
    [['eval', 'a', '--dialect', 'sql'], '--dialect must be CEXL or CEL, not sql'],
    [['eval', 'a', '--attributes', '{'], 'the attributes must be JSON'],
    [['eval', 'a', '--manifest', '{"a": "TEXT"}'], `the manifest gives 'a' an unknown type: "TEXT"`],
    [['eval', 'a', '--manifest', '{"a": "INT64"}', '--attributes', '{"a": "x"}'], `attribute 'a' is not a INT64: "x"`],
    [['eval', 'a', '--nope'], "Unknown option '--nope'"],
    [['eval'], 'Usage:'],
    [['what', 'a'], 'Usage:'],
  ])('refuses %j', async (args, message) => {
    const { code, err } = await run(args)
    expect(code).toBe(2)
    expect(err).toContain(message)
  })
})

describe('expr explain', () => {
  it('shows types, names, reads and the result', async () => {
    const attributes = '{"request.path": "/api/x", "request.size": 5}'
    const { code, out } = await run([
      'explain',
      'request.path.startsWith("/api/") && request.size == 5',
      '--attributes',
      attributes,
    ])
    expect(code).toBe(0)
    expect(out).toContain('CEXL expression of type BOOL')
    expect(out).toContain('  request.size: INT64')
    expect(out).toContain('must hold:\n  request.size == 5')
    expect(out).toContain('read (- is absent):\n  request.path\n  request.size')
    expect(out).toContain('result:\n  true')
  })

  it('puts a caret under a mistake', async () => {
    const { code, err } = await run(['explain', 'as == "x" &&\n nope', '--manifest', '{"as": "STRING"}'])
    expect(code).toBe(1)
    expect(err).toBe('   nope\n   ^^^^\n15: unknown attribute nope')
  })
})
