import { describe, expect, it } from 'vitest'
import { nodeText } from '../../src/expression/cexl/ast.ts'
import { parseCexl } from '../../src/expression/cexl/parse.ts'
import { compileExpression } from '../../src/expression/compile.ts'
import { EvaluationError } from '../../src/expression/compiled.ts'
import { MapBag, type Vocabulary } from '../../src/kernel/attribute-bag.ts'
import { Duration } from '../../src/kernel/time.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'

const VOCABULARY: Vocabulary = new Map([
  ['as', 'STRING'],
  ['bs', 'STRING'],
  ['ai', 'INT64'],
  ['ad', 'DOUBLE'],
  ['ab', 'BOOL'],
  ['adur', 'DURATION'],
  ['ar', 'STRING_MAP'],
  ['br', 'STRING_MAP'],
  ['adns', 'DNS_NAME'],
  ['auri', 'URI'],
  ['aip', 'IP_ADDRESS'],
  ['$out.name', 'STRING'],
  ['output.value', 'STRING'],
])

function compile(source: string) {
  return compileExpression(source, { dialect: 'CEXL', vocabulary: VOCABULARY })
}

function evaluate(source: string, values: Record<string, AttributeValue> = {}): AttributeValue | string {
  const result = compile(source)
  if (!result.ok) throw new Error(result.problems[0]?.message)
  const value = result.expression.evaluate(MapBag.of(values))
  return value instanceof EvaluationError ? `failed: ${value.message}` : value
}

function problem(source: string): string | undefined {
  const result = compile(source)
  return result.ok ? undefined : result.problems[0]?.message
}

describe('precedence', () => {
  it.each([
    ['a | b == c', 'EQ(OR($a, $b), $c)'],
    ['a | b + c', 'ADD(OR($a, $b), $c)'],
    ['a + b | c * d', 'OR(ADD($a, $b), MUL($c, $d))'],
    ['a || b && c == d', 'LOR($a, LAND($b, EQ($c, $d)))'],
    ['a < b == c', 'EQ(LT($a, $b), $c)'],
    ['a - b - c', 'SUB(SUB($a, $b), $c)'],
    ['a &^ b', '($a, $b)'],
    ['!a.b && -c', 'LAND(NOT($a.b), SUB($c))'],
    ['TRUE || False', 'LOR(true, false)'],
    ['a /* here */ == // there\n b', 'EQ($a, $b)'],
    ['(a["b"]).c(1)', 'INDEX($a, "b"):c(1)'],
  ])('%s is %s', (source, text) => {
    expect(nodeText(parseCexl(source))).toBe(text)
  })
})

describe('mistakes in the syntax', () => {
  it.each([
    ['', "1:1: expected operand, found 'EOF'"],
    ['a ==', "1:5: expected operand, found 'EOF'"],
    ['(a', "1:3: expected ')', found newline"],
    ['a b', "1:3: expected 'EOF', found b"],
    ['a.', "1:3: expected selector or type assertion, found 'EOF'"],
    ['a.type', "1:3: expected selector or type assertion, found 'type'"],
    ['f(a b)', "1:5: missing ',' in argument list"],
    ['f(a', "1:4: missing ',' before newline in argument list"],
    ['a[]', "1:3: expected operand, found ']'"],
    ['"abc', '1:1: string literal not terminated'],
    ['`abc', '1:1: raw string literal not terminated'],
    ["''", '1:1: illegal rune literal'],
    ["'ab'", '1:1: illegal rune literal'],
    ['"\\q"', '1:2: unknown escape sequence'],
    ['a # b', "1:3: illegal character U+0023 '#'"],
    ['as ==\n@', "2:1: illegal character U+0040 '@'"],
    ['"ж" == = 2', "1:9: expected operand, found '='"],
  ])('%j: %s', (source, message) => {
    expect(problem(source)).toBe(`unable to parse expression '${source}': ${message}`)
  })

  it.each(['a()()', 'a["b"].c()', 'a[1:2]', '*a', '&a.(b)', 'func() {}', 'a{}', 'f().x'])(
    '%s is unexpected',
    (source) => {
      expect(problem(source)).toContain('unexpected expression')
    },
  )

  it('names the place', () => {
    const result = compile('as == "x" && nope == 1 && alsonot == 2')
    const places = result.ok ? [] : result.problems.map(({ column, length, message }) => [column, length, message])
    expect(places).toEqual([
      [14, 4, 'unknown attribute nope'],
      [27, 7, 'unknown attribute alsonot'],
    ])
  })
})

describe('literals', () => {
  it.each([
    ['"10s" | adur', new Duration(10_000_000_000n)],
    ['"0"', new Duration(0n)],
    ['"\\x41\\u00e9\\101\\n"', 'AéA\n'],
    ["'c'", 'c'],
    ['`a\\b`', 'a\\b'],
    ['1e3', 1000],
    ['.5', 0.5],
    ['0x1p4', 16],
    ['010', 10n],
    ['9223372036854775807', 9223372036854775807n],
  ])('%s', (source, value) => {
    expect(evaluate(source)).toEqual(value)
  })

  it.each([
    ['9223372036854775808', 'strconv.ParseInt: parsing "9223372036854775808": value out of range'],
    ['0x10', 'strconv.ParseInt: parsing "0x10": invalid syntax'],
    ['1e999', 'strconv.ParseFloat: parsing "1e999": value out of range'],
    ['1i', 'invalid syntax'],
    ['-1', 'unknown function: SUB'],
    ['as == "10s"', 'EQ($as, "10s") arg 2 ("10s") typeError got DURATION, expected STRING'],
    ['adur == adur', 'internal compiler error -- equality for type not yet implemented: duration'],
    ['ar != br', 'internal compiler error -- equality for type not yet implemented: interface'],
    ['ab < ab', 'internal compiler error -- less than for type not yet implemented: bool'],
    ['ab + ab', 'internal compiler error -- Add for type not yet implemented: bool'],
    ['!ab', 'unknown function: NOT'],
    ['as.toLower()', 'invoking regular function on instance method: toLower'],
    ['ai.startsWith("a")', '$ai:startsWith("a") target typeError got INT64, expected STRING'],
  ])('%s is refused', (source, message) => {
    expect(problem(source)).toBe(message)
  })
})

describe('values', () => {
  it('wrap at 64 bits', () => {
    expect(evaluate('ai + 1', { ai: 9223372036854775807n })).toBe(-9223372036854775808n)
  })

  it('are counted and ordered in bytes', () => {
    expect(evaluate('size(as)', { as: 'é😀' })).toBe(6n)
    expect(evaluate('as < bs', { as: '\uffff', bs: '😀' })).toBe(true)
  })

  it('of integers and durations stand in for each other', () => {
    expect(evaluate('ai', { ai: new Duration(5n) })).toBe(5n)
    expect(evaluate('adur', { adur: 5n })).toEqual(new Duration(5n))
  })

  it('of another type than declared are errors', () => {
    expect(evaluate('as', { as: 20n })).toBe("failed: error converting value to string: '20'")
    expect(evaluate('ab', { ab: 'x' })).toBe("failed: error converting value to bool: 'x'")
    expect(evaluate('ar["a"]', { ar: 'x' })).toBe('failed: member lookup failed')
  })

  it('are compared as their type asks', () => {
    expect(evaluate('ad == ad', { ad: Number.NaN })).toBe(true)
    expect(evaluate('aip == ip("1.2.3.4")', { aip: Uint8Array.of(1, 2, 3, 4) })).toBe(true)
    expect(evaluate('adns == dnsName("BÜCHER.example")', { adns: 'bücher.EXAMPLE.' })).toBe(true)
    expect(evaluate('adns == dnsName("xn--bcher-kva.example")', { adns: 'bücher.example' })).toBe(true)
    expect(evaluate('auri == uri("HTTP://A.example/%7ex?y#z")', { auri: 'http://a.EXAMPLE/~x?y#z' })).toBe(false)
    expect(evaluate('auri == uri("urn:a")', { auri: 'URN:a' })).toBe(true)
  })

  it('are named by bindings', () => {
    expect(evaluate('$out.name | output.value', { 'output.value': 'x' })).toBe('x')
    expect(problem('$other')).toContain("illegal character U+0024 '$'")
  })
})

describe('absence', () => {
  it.each([
    ['as', "failed: lookup failed: 'as'"],
    ['as | bs', "failed: lookup failed: 'bs'"],
    ['ar["x"] | "d"', 'd'],
    ['(ar | br)["x"]', "failed: lookup failed: 'br'"],
    ['ar[as] | "d"', 'd'],
    ['toLower(as) | "d"', "failed: lookup failed: 'as'"],
    ['conditional(ab | true, "yes", as)', 'yes'],
    ['"x" | as', 'x'],
    ['emptyStringMap()["x"]', ''],
  ])('%s gives %s', (source, value) => {
    expect(evaluate(source)).toBe(value)
  })

  it('of a key in a map that is there is the empty string, or falls through', () => {
    const ar = new Map<string, string>()
    expect(evaluate('ar["x"]', { ar })).toBe('')
    expect(evaluate('ar["x"] | "d"', { ar })).toBe('d')
    expect(evaluate('(br | ar)["x"] | "d"', { ar })).toBe('d')
  })
})

describe('patterns', () => {
  it('are those of RE2, unanchored, with the pattern as target', () => {
    expect(evaluate('"b+".matches(as)', { as: 'abbc' })).toBe(true)
    expect(evaluate('as.matches(bs)', { as: '^b', bs: 'abbc' })).toBe(false)
    expect(evaluate('"(".matches(as)', { as: 'a' })).toContain('failed: error parsing regexp')
  })

  it('take linear time', () => {
    const started = performance.now()
    expect(evaluate('"^(a+)+$".matches(as)', { as: `${'a'.repeat(20_000)}b` })).toBe(false)
    expect(performance.now() - started).toBeLessThan(10_000)
  })
})

describe('static facts', () => {
  function facts(source: string) {
    const result = compile(source)
    if (!result.ok) throw new Error(result.problems[0]?.message)
    return result.expression
  }

  it('name the equality terms that must hold', () => {
    const { equalityTerms } = facts(
      'as == "x" && (ai == 1 + 1 && "v" == ar["k"]) && (bs == "y" || ab) && ar["e"] == ""',
    )
    expect(equalityTerms).toEqual([
      { attribute: 'as', mapKey: undefined, constant: 'x' },
      { attribute: 'ai', mapKey: undefined, constant: 2n },
      { attribute: 'ar', mapKey: 'k', constant: 'v' },
    ])
  })

  it('name what is referenced, once', () => {
    expect(facts('ar["k"] == as || ar[as] == ar["k"]').references).toEqual([
      { attribute: 'ar', mapKey: 'k' },
      { attribute: 'as', mapKey: undefined },
      { attribute: 'ar', mapKey: undefined },
    ])
  })

  it('tell constants', () => {
    expect(facts('size("abc") + 1').constant).toBe(4n)
    expect(facts('ip("nonsense")').constant).toBeUndefined()
    expect(facts('as').constant).toBeUndefined()
  })
})
