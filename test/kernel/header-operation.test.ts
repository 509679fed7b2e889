import { describe, expect, it } from 'vitest'
import { headerChanges } from '../../src/kernel/header-operation.ts'

const append = (name: string, value: string) => ({ name, value, operation: 'APPEND' as const })

describe('headerChanges', () => {
  it('appends to lists, and replaces what may be there only once', () => {
    const operations = [
      append('x-tag', '1'),
      append('x-tag', '2'),
      append('authorization', 'a'),
      append('authorization', 'b'),
    ]
    expect(headerChanges(operations)).toEqual([
      { name: 'x-tag', replaces: false, values: ['1', '2'] },
      { name: 'authorization', replaces: true, values: ['b'] },
    ])
  })

  it('removes nothing that a message needs, so that what was set before stands', () => {
    const set = { name: 'host', value: 'a', operation: 'REPLACE' as const }
    const remove = (name: string) => ({ name, value: '', operation: 'REMOVE' as const })
    expect(headerChanges([set, remove('host'), remove(':path')])).toEqual([
      { name: 'host', replaces: true, values: ['a'] },
    ])
  })
})
