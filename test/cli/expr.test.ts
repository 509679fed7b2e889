import { describe, expect, it } from 'vitest'
import { runCommand } from '../../src/cli/commands.ts'
import { testIo } from './support.ts'

async function run(args: readonly string[], files: Readonly<Record<string, unknown>> = {}) {
  const texts = Object.entries(files).map(([path, json]) => [path, JSON.stringify(json)])
  const io = testIo({ files: Object.fromEntries(texts) })
  const code = await runCommand(['expr', ...args], io)
  return { code, out: io.lines.join('\n'), err: io.errors.join('\n') }
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
    [['eval', 'a', '--dialect', 'sql'], '--dialect: "sql" does not fit; give one of CEXL, CEL'],
    [['eval', 'a', '--attributes', '{'], '--attributes: not JSON'],
    [['eval', 'a', '--attributes', '@gone'], '--attributes: cannot read gone (ENOENT)'],
    [['eval', 'a', '--manifest', '[]'], '--manifest: give a JSON object'],
    [['eval', 'a', '--manifest', '{"a": "TEXT"}'], '--manifest: a: no such type: "TEXT".'],
    [['eval', 'a', '--manifest', '{"a": "INT46"}'], 'Did you mean "INT64"?'],
    [
      ['eval', 'a', '--manifest', '{"a": "INT64"}', '--attributes', '{"a": "x", "aa": 1}'],
      '--attributes: a: is "x" and must be a whole number of 64 bits, such as 42 or "42".\n  aa: no attribute manifest',
    ],
    [['eval', 'a', '--nope'], '--nope: no such flag; --help lists them'],
    [['eval', 'a', '--dialet=CEL'], 'did you mean --dialect?'],
    [['eval', 'a', '==', 'b'], '==: one expression at a time; put it into quotes'],
    [['eval'], 'eval: give the EXPRESSION'],
    [['what', 'a'], 'what: give one of eval, explain'],
    [['explian', 'a'], 'did you mean explain?'],
    [[], 'nothing: give one of eval, explain'],
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
