// What a map's text does not say in one way is read as a failure, in either dialect, logged or not.
import { describe, expect, it } from 'vitest'
import { compileExpression } from '../../src/expression/compile.ts'
import { EvaluationError } from '../../src/expression/compiled.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { ReadCollector } from '../../src/cache/read-collector.ts'
import { QueryParams } from '../../src/wire/query-params.ts'

const vocabulary = new Map([
  ['request.query_params', 'STRING_MAP'],
  ['request.method', 'STRING'],
] as const)

/** The value, or the kind of the failure. */
function outcome(dialect: 'CEL' | 'CEXL', source: string, query: string): unknown {
  const compiled = compileExpression(source, { dialect, vocabulary })
  if (!compiled.ok) throw new Error(`${source}: ${compiled.problems[0]?.message}`)
  const bag = MapBag.of({
    'request.query_params': new QueryParams(query).unambiguous(),
    'request.method': 'debug',
  })
  const results = [undefined, new ReadCollector()].map((log) => {
    const value = compiled.expression.evaluate(bag, log)
    if (!(value instanceof EvaluationError)) return value
    expect(value.part ?? '').not.toContain('secret')
    return value.kind
  })
  expect(results[0]).toEqual(results[1])
  return results[0]
}

const P = 'request.query_params'

describe('a parameter with two values', () => {
  const query = 'debug=0&debug=1&id=7'

  it.each([
    ['CEL', `${P}["debug"] == "0"`, 'ambiguous'],
    ['CEL', `${P}.debug == "1"`, 'ambiguous'],
    ['CEL', `${P}["debug"] != "1"`, 'ambiguous'],
    ['CEL', `${P}["debug"].startsWith("2")`, 'ambiguous'],
    ['CEL', `${P}[request.method] == "1"`, 'ambiguous'],
    ['CEL', `pick(${P}["debug"], "x")`, 'ambiguous'],
    ['CEL', `int(${P}["debug"]) < 5`, 'ambiguous'],
    ['CEL', `int(${P}["id"]) < 5 || ${P}["debug"] == "1"`, 'ambiguous'],
    ['CEL', `${P}["debug"] == "1" || int("x" + ${P}["id"]) < 5`, 'ambiguous'],
    ['CEL', `${P}["debug"] == "1" || request.method == "debug"`, true],
    ['CEL', `${P} == {"debug": "0", "id": "7"}`, 'ambiguous'],
    ['CEL', `${P}.exists(k, ${P}[k] == "9")`, 'ambiguous'],
    ['CEL', `${P}.exists(k, k == "debug")`, true],
    ['CEL', `size(${P}) == 2`, true],
    ['CEL', `"debug" in ${P}`, true],
    ['CEL', `has(${P}.debug)`, true],
    ['CEL', `request.method in ${P}`, true],
    ['CEL', `${P}["id"] == "7"`, true],
    ['CEL', `${P}["none"] == "7"`, 'absent'],
    ['CEL', P, 'ambiguous'],
    ['CEXL', `${P}["debug"] == "no"`, 'ambiguous'],
    ['CEXL', `${P}["debug"] == ""`, 'ambiguous'],
    ['CEXL', `${P}["debug"] | "x"`, 'ambiguous'],
    ['CEXL', `(${P} | emptyStringMap())["debug"] == "no"`, 'ambiguous'],
    ['CEXL', `${P}[request.method] == "no"`, 'ambiguous'],
    ['CEXL', `match(${P}["debug"], "2*")`, 'ambiguous'],
    ['CEXL', `${P}["id"] == "7"`, true],
    ['CEXL', `${P}["none"] == ""`, true],
    ['CEXL', P, 'ambiguous'],
    ['CEXL', `${P} | emptyStringMap()`, 'ambiguous'],
  ] as const)('%s: %s', (dialect, source, expected) => {
    expect(outcome(dialect, source, query)).toEqual(expected)
  })

  it.each(['CEL', 'CEXL'] as const)('fails in a place of the source, without what the request said: %s', (dialect) => {
    const secret = `${P}[${P}["id"]] == "1"`
    expect(outcome(dialect, secret, 'id=secret&secret=1&secret=2')).toBe('ambiguous')
  })
})

describe('a parameter behind a semicolon', () => {
  it.each([
    ['CEL', `${P}["debug"] == "1"`, 'ambiguous'],
    ['CEL', `"debug" in ${P}`, 'ambiguous'],
    ['CEL', `!has(${P}.debug)`, 'ambiguous'],
    ['CEL', `request.method in ${P}`, 'ambiguous'],
    ['CEL', `pick(${P}["debug"], "x")`, 'ambiguous'],
    ['CEL', `size(${P}) == 1`, 'ambiguous'],
    ['CEL', `${P}.all(k, k != "debug")`, 'ambiguous'],
    ['CEL', `"other" in ${P}`, false],
    ['CEXL', `${P}["debug"] | "x"`, 'ambiguous'],
    ['CEXL', `${P}["other"] | "x"`, 'x'],
  ] as const)('%s: %s', (dialect, source, expected) => {
    expect(outcome(dialect, source, 'a=1;debug=1')).toEqual(expected)
  })
})
