import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseJson } from '../../src/kernel/parse-json.ts'

const name = fc.oneof(fc.constantFrom('a', '"', '":"', '\\":', '\\', '\\n', '\n', '__proto__', '1', 'é'), fc.string())
const space = fc.constantFrom('', ' ', '\n\t ')

/** JSON text, with every way of spelling names. */
const { text } = fc.letrec<{ text: string; object: string; list: string }>((tie) => ({
  text: fc.oneof(
    { depthSize: 'small' },
    name.map((value) => JSON.stringify(value)),
    fc.constantFrom('1', 'null', 'true', '"a\\":"'),
    tie('object'),
    tie('list'),
  ),
  object: fc
    .array(fc.tuple(name, fc.boolean(), space, space, tie('text')), { maxLength: 4 })
    .map((members) => `{${members.map(([key, odd, a, b, value]) => `${spelt(key, odd)}${a}:${b}${value}`).join(',')}}`),
  list: fc.array(tie('text'), { maxLength: 3 }).map((items) => `[${items.join(',')}]`),
}))

function spelt(key: string, odd: boolean): string {
  if (!odd) return JSON.stringify(key)
  const units = Array.from({ length: key.length }, (_, at) => key.charCodeAt(at).toString(16).padStart(4, '0'))
  return `"${units.map((unit) => `\\u${unit}`).join('')}"`
}

/** What a text says, by a reader that knows nothing of the engine's: names and values in order, the last of a name. */
function read(json: string): unknown {
  let at = 0
  const blank = () => {
    while (' \n\t\r'.includes(json[at] ?? 'x')) at++
  }
  const string = () => {
    const [token = ''] = /^"[^"\\]*(?:\\.[^"\\]*)*"/s.exec(json.slice(at)) ?? []
    at += token.length
    return JSON.parse(token) as string
  }
  const value = (): unknown => {
    blank()
    if (json[at] === '"') return string()
    if (json[at] === '[' || json[at] === '{') {
      const isList = json[at++] === '['
      const members = new Map<string, unknown>()
      for (blank(); json[at] !== ']' && json[at] !== '}'; blank()) {
        if (json[at] === ',') at++
        blank()
        const key = isList ? String(members.size) : string()
        blank()
        if (!isList) at++
        members.set(key, value())
      }
      at++
      return isList ? [...members.values()] : members
    }
    const [token = ''] = /^[a-z0-9]+/.exec(json.slice(at)) ?? []
    at += token.length
    return JSON.parse(token) as unknown
  }
  return value()
}

function asMaps(json: unknown): unknown {
  if (Array.isArray(json)) return json.map(asMaps)
  if (typeof json !== 'object' || json === null) return json
  return new Map(Object.entries(json).map(([key, item]) => [key, asMaps(item)]))
}

describe('JSON', () => {
  it('has the names that it is written with, whatever was read before', () => {
    expect(parseJson('{"k":1,"\\\\":1}')).toEqual({ k: 1, '\\': 1 })
    expect(parseJson('{"k":1,"\\"":1}')).toEqual({ k: 1, '"': 1 })
    expect(parseJson('{"k":1,"\\u0061":[{"\\n":"\\\\"}]}')).toEqual({ k: 1, a: [{ '\n': '\\' }] })
  })

  it('is read as a reader of another kind reads it', () => {
    fc.assert(
      fc.property(text, (json) => {
        expect(asMaps(parseJson(json))).toEqual(read(json))
      }),
      { numRuns: 5_000 },
    )
  })

  it('of any depth is read, and what is none is refused as by the engine', () => {
    const deep = `${'['.repeat(20_000)}{"\\\\":1}${']'.repeat(20_000)}`
    expect(() => parseJson(deep)).not.toThrow()
    expect(() => parseJson('{"\\\\":}')).toThrow(SyntaxError)
  })
})
