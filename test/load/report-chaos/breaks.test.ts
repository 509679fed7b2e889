import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { type Break, BREAKS, broken } from '../../../load/report-chaos/breaks.ts'

describe('the breaks of a chaos run', () => {
  it.each<[string, Break]>(Object.entries(BREAKS))('%s can be planted', async (_, each) => {
    const source = await readFile(each.file, 'utf8')
    expect(broken(each, source)).not.toBe(source)
  })

  it('are refused where the text has changed', () => {
    expect(() => broken({ file: 'a.ts', find: 'x', put: 'y' }, 'xx')).toThrow(/a.ts: "x" must stand there once/)
    expect(() => broken({ file: 'a.ts', find: 'x', put: 'y' }, '')).toThrow(/must stand there once/)
  })
})
