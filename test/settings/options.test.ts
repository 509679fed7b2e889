import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type OptionTable, readOptions } from '../../src/settings/options.ts'

const TABLE = {
  attribute: { kind: 'texts', default: [], short: 'a', description: 'Some.' },
  repeat: { kind: 'integer', default: 1, min: 1, short: 'r', description: 'How often.' },
  json: { kind: 'boolean', default: false, short: 'j', description: 'As JSON.' },
  spoolDir: { kind: 'path', required: true, description: 'Where to.' },
} as const satisfies OptionTable

const read = (...argv: string[]) => readOptions(TABLE, argv, { INTERMIX_SPOOL_DIR: 'env' })

describe('options', () => {
  it('take values behind an equals sign or as the next argument, and switches without one', () => {
    const { values, given, positionals, problems } = read('-a', 'x=1', 'one', '--attribute=y', '-j', '-r', '3', 'on')
    expect(problems).toEqual([])
    expect(values).toEqual({ attribute: ['x=1', 'y'], repeat: 3, json: true, spoolDir: 'env' })
    expect(positionals).toEqual(['one', 'on'])
    expect([...given]).toEqual([
      ['attribute', 'flag'],
      ['repeat', 'flag'],
      ['json', 'flag'],
      ['spoolDir', 'variable'],
    ])
    expect(read('--json', 'off', '-').values.json).toBe(false)
    expect(read('--json=no', '-').positionals).toEqual(['-'])
  })

  it('never take a flag for a value, and say of each value that lacks that it does', () => {
    const { values, problems } = read('--spool-dir', '--json', '-a', '--', '-r')
    expect(problems).toEqual(['--spool-dir: needs a value', '-a: needs a value'])
    expect(values.json).toBe(true)
  })

  it('take a value with one dash, and say what is wrong with it', () => {
    expect(read('--repeat', '-1').problems).toEqual(['--repeat: "-1" does not fit; give a value from 1'])
    expect(read('--spool-dir', '-x').values.spoolDir).toBe('-x')
  })

  it.each([
    [['-attr=x=1'], '-attr=x=1: no such flag; --help lists them'],
    [['-attribute', 'x=1'], '-attribute: no such flag; did you mean --attribute?'],
    [['-repeat', '3'], '-repeat: no such flag; did you mean --repeat?'],
    [['-jr'], '-jr: no such flag; did you mean -j or -r?'],
    [['--jsno=on'], '--jsno: no such flag; did you mean --json?'],
    [['--no-json'], '--no-json: no such flag; did you mean --json?'],
    [['-spool-dir', '/x'], '-spool-dir: no such flag; did you mean --spool-dir?'],
    [['--__proto__', 'x'], '--__proto__: no such flag; --help lists them'],
    [['--constructor=x'], '--constructor: no such flag; --help lists them'],
  ])('do not take %j for what it only resembles', (argv, problem) => {
    expect(read(...argv)).toMatchObject({
      problems: [problem],
      positionals: [],
      values: { attribute: [], repeat: 1, json: false },
    })
  })

  it('mean the same with an equals sign and without, whatever the value is', () => {
    const value = fc.string({ unit: 'grapheme' }).filter((text) => !text.startsWith('--'))
    const flag = fc.constantFrom('--attribute', '--spool-dir')
    fc.assert(
      fc.property(flag, value, (name, text) => {
        expect(read(name, text)).toEqual(read(`${name}=${text}`))
      }),
    )
  })

  it('hand everything behind -- on as it is', () => {
    const words = fc.array(fc.oneof(fc.constantFrom('--', '--json', '-a', '--repeat=0'), fc.string()))
    fc.assert(
      fc.property(words, (rest) => {
        const { positionals, problems, given } = read('x', '--', ...rest)
        expect(positionals).toEqual(['x', ...rest])
        expect([problems, [...given.keys()]]).toEqual([[], ['spoolDir']])
      }),
    )
  })
})
