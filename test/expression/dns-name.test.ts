import { describe, expect, it } from 'vitest'
import { EvaluationError } from '../../src/expression/compiled.ts'
import { dnsName, equalDnsNames } from '../../src/expression/functions/dns-name.ts'

/** What Go's idna says of the name, or the name. */
function validated(name: string): string {
  const value = dnsName(name)
  return value instanceof EvaluationError ? (/idna: [^']*/.exec(value.message)?.[0] ?? value.message) : value
}

describe('validation', () => {
  it.each([
    ['Foo_bar.example.', 'Foo_bar.example.'],
    ['Bücher.example', 'Bücher.example'],
    ['xn--bcher-kva.example', 'bücher.example'],
    ['a。-b', 'a。-b'],
    ['a\u0378\u0085', 'a\u0378\u0085'],
    ['क्\u200dष', 'क्\u200dष'],
    ['אב1.example', 'אב1.example'],
  ])('takes %s', (name, unicode) => {
    expect(validated(name)).toBe(unicode)
  })

  it.each([
    ['', 'idna: invalid label ""'],
    ['a..b', 'idna: invalid label ""'],
    ['a-.b', 'idna: invalid label "a-"'],
    ['ab--c.b', 'idna: invalid label "ab--c"'],
    ['XN--bcher-kva', 'idna: invalid label "XN--bcher-kva"'],
    ['xn--BCHER-kva', 'idna: invalid label "BCHER-kva"'],
    ['xn--99999999', 'idna: invalid label "99999999"'],
    ['xn--b\u00fccher', 'idna: invalid label "bücher"'],
    ['\u0301a', 'idna: invalid label "\u0301a"'],
    ['a\u200db', 'idna: invalid label "a\u200db"'],
    ['a.אb', 'idna: invalid label "a.אb"'],
    // Decodes to "example" alone: two spellings of one name that no registry tells apart.
    ['xn--example-', 'idna: invalid label "example"'],
  ])('refuses %j', (name, reason) => {
    expect(validated(name)).toBe(reason)
  })

  it('refuses odd names that are far too long', () => {
    expect(validated('ü'.repeat(100_000))).toMatch(/^idna: invalid label/)
  })
})

describe('equality', () => {
  it.each([
    ['a.EXAMPLE.', 'A.example'],
    ['Bücher。example', 'xn--BCHER-kva.example'],
    ['ＡＢＣ', 'abc'],
    ['a\u00adb', 'ab'],
    ['STRAẞE', 'strasse'],
  ])('%s is %s', (a, b) => {
    expect(equalDnsNames(a, b)).toBe(true)
  })

  it('tells a sharp s from two', () => {
    expect(equalDnsNames('straße', 'strasse')).toBe(false)
  })

  it.each([
    ['a_b', 'idna: disallowed rune U+005F'],
    ['a\u0378', 'idna: disallowed rune U+0378'],
    ['a.b-', 'idna: invalid label "b-"'],
    ['xn--99999999', 'idna: invalid label "99999999"'],
    ['b.אa', 'idna: invalid label "b.אa"'],
  ])('refuses %s', (name, reason) => {
    expect(equalDnsNames(name, 'a')).toMatchObject({ message: reason })
    expect(equalDnsNames('a', name)).toMatchObject({ message: reason })
  })
})
