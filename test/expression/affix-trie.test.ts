import fc from 'fast-check'
import { expect, it } from 'vitest'
import { AffixTrie } from '../../src/expression/affix-trie.ts'

const text = fc.string({ unit: fc.constantFrom('a', 'b', '/', '\ud83d', '\ude00'), maxLength: 6 })

it.each(['prefix', 'suffix'] as const)('finds the longest %s of any text among any others', (side) => {
  fc.assert(
    fc.property(fc.array(text), fc.array(text), (affixes, texts) => {
      const trie = new AffixTrie<string>(side)
      for (const affix of affixes) trie.set(affix, affix)
      for (const each of [...texts, ...affixes]) {
        const fitting = affixes.filter((affix) => (side === 'prefix' ? each.startsWith(affix) : each.endsWith(affix)))
        expect(trie.longest(each)).toBe(fitting.toSorted((a, b) => b.length - a.length)[0])
      }
    }),
    { numRuns: 2_000 },
  )
})
