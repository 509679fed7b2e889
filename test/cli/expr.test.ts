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
