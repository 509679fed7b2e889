// Random expressions that compile, random bags for them, and random text in the alphabet of expressions.

import fc from 'fast-check'
import { type AttributeBag, MapBag, type Vocabulary } from '../../src/kernel/attribute-bag.ts'
import { Duration, Timestamp } from '../../src/kernel/time.ts'
import type { AttributeValue, ValueType } from '../../src/kernel/value.ts'

const NAMES: Readonly<Record<ValueType, readonly string[]>> = {
  STRING: ['request.path', 'source.user', 'as'],
  INT64: ['request.size', 'ai'],
  DOUBLE: ['load.average'],
  BOOL: ['connection.mtls'],
  TIMESTAMP: ['request.time'],
  DURATION: ['response.duration'],
  IP_ADDRESS: ['source.ip'],
  DNS_NAME: ['source.host'],
  EMAIL_ADDRESS: ['source.email'],
  URI: ['request.url'],
  STRING_MAP: ['request.headers', 'source.labels'],
}

/** The vocabulary of all generated expressions. */
export const VOCABULARY: Vocabulary = new Map(
  Object.entries(NAMES).flatMap(([type, names]) => names.map((name) => [name, type as ValueType] as const)),
)

const TEXTS = ['', 'a', 'ab', '/api/v1', 'prod', '.*', 'a*', '*b', '1.2.3.4', 'a.example', 'x@a.example', 'İß😀']
const text = fc.oneof(fc.constantFrom(...TEXTS), fc.string({ maxLength: 6 }))

const VALUES: Readonly<Record<ValueType, fc.Arbitrary<AttributeValue>>> = {
  STRING: text,
  INT64: fc.oneof(fc.bigInt({ min: -3n, max: 3n }), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
  DOUBLE: fc.double(),
  BOOL: fc.boolean(),
  TIMESTAMP: fc.bigInt({ min: 0n, max: 3n }).map((nanos) => new Timestamp(nanos)),
  DURATION: fc.bigInt({ min: 0n, max: 3n }).map((nanos) => new Duration(nanos * 1_000_000_000n)),
  IP_ADDRESS: fc.uint8Array({ minLength: 4, maxLength: 4, max: 1 }),
  DNS_NAME: fc.constantFrom('a.example', 'A.example.', 'b', '-'),
  EMAIL_ADDRESS: fc.constantFrom('x@a.example', '"x"@A.example', 'none'),
  URI: fc.constantFrom('http://a.example/', 'HTTP://A.EXAMPLE/', 'urn:x', ':'),
  STRING_MAP: fc.dictionary(fc.constantFrom('a', 'b', 'ab'), text).map((entries) => new Map(Object.entries(entries))),
}

/** Bags that hold some of the vocabulary's attributes, with values that often make expressions true. */
export const bags: fc.Arbitrary<AttributeBag> = fc
  .record(
    Object.fromEntries([...VOCABULARY].map(([name, type]) => [name, fc.option(VALUES[type], { nil: undefined })])),
  )
  .map((values) => {
    return new MapBag(
      new Map(Object.entries(values).filter((entry): entry is [string, AttributeValue] => entry[1] !== undefined)),
    )
  })

type Sources = Readonly<Record<ValueType, fc.Arbitrary<string>>>

const quoted = (value: string) => JSON.stringify(value)
/** Duration strings would not be strings in CEXL. */
const literal = fc.constantFrom(...TEXTS.filter((value) => value !== '')).map(quoted)

function names(type: ValueType): fc.Arbitrary<string> {
  return fc.constantFrom(...NAMES[type])
}

function join(separator: string, ...parts: readonly fc.Arbitrary<string>[]): fc.Arbitrary<string> {
  return fc.tuple(...parts).map((texts) => `(${texts.join(separator)})`)
}

const compared = (source: fc.Arbitrary<string>, operators: readonly string[]) => {
  return fc.constantFrom(...operators).chain((operator) => join(` ${operator} `, source, source))
}
const EQUALITY = ['==', '!=']
const ORDER = [...EQUALITY, '<', '<=', '>', '>=']

const called = (name: string, ...args: readonly fc.Arbitrary<string>[]) => {
  return fc.tuple(...args).map((texts) => `${name}(${texts.join(', ')})`)
}
const method = (name: string, target: fc.Arbitrary<string>, arg: fc.Arbitrary<string>) => {
  return fc.tuple(target, arg).map(([one, two]) => `(${one}).${name}(${two})`)
}
const entry = (key: fc.Arbitrary<string>) => fc.tuple(names('STRING_MAP'), key).map(([map, text]) => `${map}[${text}]`)
const keys = fc.constantFrom('"a"', '"b"', '"ab"')

/** CEXL of each type, nested up to a depth. */
function cexl(depth: number): Sources {
  const leaves: Sources = {
    STRING: fc.oneof(literal, names('STRING'), entry(keys)),
    INT64: fc.oneof(fc.integer({ min: 0, max: 3 }).map(String), names('INT64')),
    DOUBLE: fc.oneof(fc.constantFrom('0.0', '1.5', '1e3'), names('DOUBLE')),
    BOOL: fc.oneof(fc.constantFrom('true', 'false'), names('BOOL')),
    TIMESTAMP: fc.oneof(names('TIMESTAMP'), fc.constant('timestamp("1970-01-01T00:00:00Z")')),
    DURATION: fc.oneof(names('DURATION'), fc.constantFrom('"1s"', '"0"')),
    IP_ADDRESS: fc.oneof(names('IP_ADDRESS'), fc.constant('ip("0.0.1.1")')),
    DNS_NAME: fc.oneof(names('DNS_NAME'), fc.constant('dnsName("a.example")')),
    EMAIL_ADDRESS: fc.oneof(names('EMAIL_ADDRESS'), fc.constant('email("x@a.example")')),
    URI: fc.oneof(names('URI'), fc.constant('uri("http://a.example/")')),
    STRING_MAP: fc.oneof(names('STRING_MAP'), fc.constant('emptyStringMap()')),
  }
  if (depth === 0) return leaves
  const inner = cexl(depth - 1)
  const any = (type: ValueType) => {
    const choice = called('conditional', inner.BOOL, inner[type], inner[type])
    return fc.oneof({ weight: 3, arbitrary: leaves[type] }, join(' | ', inner[type], inner[type]), choice)
  }
  return {
    ...(Object.fromEntries(Object.keys(NAMES).map((type) => [type, any(type as ValueType)])) as Sources),
    STRING: fc.oneof(
      any('STRING'),
      join(' + ', inner.STRING, inner.STRING),
      entry(inner.STRING),
      called('toLower', inner.STRING),
    ),
    INT64: fc.oneof(any('INT64'), join(' + ', inner.INT64, inner.INT64), called('size', inner.STRING)),
    BOOL: fc.oneof(
      any('BOOL'),
      join(' && ', inner.BOOL, inner.BOOL),
      join(' || ', inner.BOOL, inner.BOOL),
      compared(inner.STRING, ORDER),
      compared(inner.INT64, ORDER),
      compared(inner.DOUBLE, ORDER),
      compared(inner.TIMESTAMP, ORDER),
      compared(inner.IP_ADDRESS, EQUALITY),
      compared(inner.DNS_NAME, EQUALITY),
      compared(inner.EMAIL_ADDRESS, EQUALITY),
      compared(inner.URI, EQUALITY),
      called('match', inner.STRING, inner.STRING),
      method('startsWith', inner.STRING, inner.STRING),
      method('endsWith', inner.STRING, inner.STRING),
      method('matches', fc.constantFrom('"a.*"', '"^/api"', 'as'), inner.STRING),
    ),
    IP_ADDRESS: fc.oneof(any('IP_ADDRESS'), called('ip', inner.STRING)),
    DNS_NAME: fc.oneof(any('DNS_NAME'), called('dnsName', inner.STRING)),
  }
}

/** CEXL sources that compile against `VOCABULARY`, of every type, booleans most of all. */
export const cexlSources: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: cexl(3).BOOL },
  ...Object.values(cexl(2)).map((arbitrary) => ({ weight: 1, arbitrary })),
)

const celBoolean = fc.letrec<{ string: string; int: string; bool: string }>((tie) => {
  const string = tie('string')
  const int = tie('int')
  const bool = tie('bool')
  return {
    string: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      literal,
      names('STRING'),
      entry(keys),
      entry(string),
      join(' + ', string, string),
      fc.tuple(bool, string, string).map(([condition, yes, no]) => `(${condition} ? ${yes} : ${no})`),
      called('pick', entry(keys), names('STRING'), string),
    ),
    int: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.integer({ min: 0, max: 3 }).map(String),
      names('INT64'),
      called('size', string),
      fc.constantFrom('+', '-', '*', '/', '%').chain((operator) => join(` ${operator} `, int, int)),
    ),
    bool: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      names('BOOL'),
      compared(string, ORDER),
      compared(int, ORDER),
      join(' && ', bool, bool),
      join(' || ', bool, bool),
      bool.map((operand) => `!(${operand})`),
      method('startsWith', string, string),
      method('contains', string, string),
      fc.tuple(string, names('STRING_MAP')).map(([key, map]) => `(${key} in ${map})`),
      names('STRING')
        .filter((name) => name.includes('.'))
        .map((name) => `has(${name})`),
      fc.tuple(names('STRING_MAP'), fc.constantFrom('a', 'b')).map(([map, key]) => `has(${map}.${key})`),
      fc
        .tuple(string, fc.array(string, { minLength: 1, maxLength: 3 }))
        .map(([item, items]) => `(${item} in [${items.join(', ')}])`),
      fc.tuple(names('STRING_MAP'), string).map(([map, prefix]) => `${map}.exists(k, k.startsWith(${prefix}))`),
    ),
  }
})

/** CEL sources of type BOOL that compile against `VOCABULARY`. */
export const celSources: fc.Arbitrary<string> = celBoolean.bool

const FRAGMENTS = [
  ...'a|as|request.path|.|(|)|[|]|{|}|"|\'|`|\\|"a"|\'b\'|`c`|1|0x|1.|1e|==|!=|<|<-|&&|&^|+|-|*|/|//|/*|*/|!|^|%'.split(
    '|',
  ),
  ...'| || : ? , ; ... true in has pick func map $out $ @ size startsWith google.protobuf.Int64Value{value: 😀'.split(
    ' ',
  ),
  ' ',
  '\n',
]

/** Text in the alphabet of both languages: mostly nonsense, now and then an expression. */
export const sourceTexts: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.array(fc.constantFrom(...FRAGMENTS), { maxLength: 30 }).map((parts) => parts.join('')),
  fc.tuple(cexlSources, fc.nat(), fc.string({ maxLength: 3 })).map(([source, at, inserted]) => {
    const place = at % (source.length + 1)
    return source.slice(0, place) + inserted + source.slice(place + 1)
  }),
)
