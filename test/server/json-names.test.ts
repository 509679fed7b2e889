import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseJson } from '../../src/kernel/parse-json.ts'
import { refuseRepeatedNames } from '../../src/server/json-names.ts'

const name = fc.oneof(fc.constantFrom('a', 'b', '"', 'a":', '\\":', '":"', '\\'), fc.string({ maxLength: 6 }))
const blank = fc.constantFrom('', ' ', '\n\t ')

/** JSON text, and whether it has a name twice in one object: known from how it was put together. */
interface Written {
  readonly text: string
  readonly repeats: boolean
}

const { value } = fc.letrec<{ value: Written; object: Written; list: Written }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    name.map((each) => ({ text: JSON.stringify(each), repeats: false })),
    fc.constantFrom('1', 'null', 'true').map((text) => ({ text, repeats: false })),
    tie('object'),
    tie('list'),
  ),
  object: fc.array(fc.tuple(name, blank, blank, tie('value')), { maxLength: 4 }).map((members) => ({
    text: `{${members.map(([key, a, b, { text }]) => `${JSON.stringify(key)}${a}:${b}${text}`).join(',')}}`,
    repeats: new Set(members.map(([key]) => key)).size < members.length || members.some(([, , , each]) => each.repeats),
  })),
  list: fc.array(tie('value'), { maxLength: 3 }).map((items) => ({
    text: `[${items.map(({ text }) => text).join(',')}]`,
    repeats: items.some(({ repeats }) => repeats),
  })),
}))

describe('names in JSON', () => {
  it('are refused where one comes twice in an object, and only there', () => {
    fc.assert(
      fc.property(value, ({ text, repeats }) => {
        const look = () => refuseRepeatedNames(text, parseJson(text))
        if (repeats) expect(look).toThrow(/twice in one object/)
        else expect(look).not.toThrow()
      }),
      { numRuns: 5_000 },
    )
  })
})
