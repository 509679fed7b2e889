import { describe, expect, it } from 'vitest'
import { GLOBAL_INDEX, GLOBAL_WORDS } from '../../../src/wire/mixer/dictionary.ts'
import { sharedData } from '../../helpers/shared-data.ts'

const words = sharedData('global-dictionary.json')
const manifest = sharedData('attribute-manifest.json') as Record<string, { dictIndex?: number | null }> | undefined

describe('global dictionary', () => {
  it('has 222 different words, four of them with their quotes', () => {
    expect(GLOBAL_WORDS).toHaveLength(222)
    expect(GLOBAL_INDEX.size).toBe(222)
    expect([94, 111, 112, 218].map((index) => GLOBAL_WORDS[index])).toEqual(["'200'", "'0'", "'1'", '"-"'])
    expect(['0', '1', '200'].map((word) => GLOBAL_INDEX.get(word))).toEqual([134, 135, 136])
    expect(GLOBAL_INDEX.get('-')).toBeUndefined()
  })

  it.skipIf(words === undefined)('is the list that Istio 1.4 has, in its order', () => {
    expect(GLOBAL_WORDS).toEqual(words)
  })

  it.skipIf(manifest === undefined)('gives the attributes of the manifest their positions', () => {
    const placed = Object.entries(manifest ?? {}).filter(([, entry]) => typeof entry.dictIndex === 'number')
    expect(placed.length).toBeGreaterThan(80)
    for (const [name, entry] of placed) expect(GLOBAL_INDEX.get(name), name).toBe(entry.dictIndex)
  })
})
