// What instances take of memory, whichever front door their values come from.
import { describe, expect, it } from 'vitest'
import { recordBytes } from '../../src/cache/instance-bytes.ts'

describe('the bytes of a record', () => {
  it('count the entries of maps that are not `Map`, as those of lazily read messages', () => {
    const entries = new Map([['x-user', 'ann']])
    const lazy = { size: 1, get: (key: string) => entries.get(key), entries: () => entries.entries() }
    expect(recordBytes({ headers: lazy })).toBe(recordBytes({ headers: entries }))
  })
})
