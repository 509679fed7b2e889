// Tests of one value: what makes one, how large it is, and how it is asked.

import type { Order, PlainValue, Side, SubjectTest } from '../kernel/subject-test.ts'
import type { AttributeValue } from '../kernel/value.ts'
import { AffixTrie } from './affix-trie.ts'
import { compareStrings } from './functions/bytes.ts'
import { compilePattern, findPattern, programSize } from './functions/regexp.ts'
import { globPattern } from './text-term.ts'

const ORDERS: Readonly<Record<Order, (order: number) => boolean>> = {
  below: (order: number) => order < 0,
  atMost: (order: number) => order <= 0,
  above: (order: number) => order > 0,
  atLeast: (order: number) => order >= 0,
}
export type Ask = (value: AttributeValue) => boolean | undefined

/**
 * Characters of a text that are looked at. Expressions have a budget of steps and may give up on a longer one; a test that
 * answers it all the same would answer what the expression does not.
 */
const MAX_TESTED_CHARACTERS = 8_192

/** Instructions of the patterns in one test: at the length above they take a tenth of the usual budget. */
const MAX_PROGRAM = 300
/** Tests within one. */
const MAX_PARTS = 64
/** Characters of all constants in one test. */
const MAX_CONSTANTS = 16_384

/** The test, unless it is more than another process should be sent. */
export function travelling(test: SubjectTest | undefined): SubjectTest | undefined {
  if (test === undefined) return undefined
  const { parts, characters, program } = sizeOf(test)
  return parts > MAX_PARTS || characters > MAX_CONSTANTS || program > MAX_PROGRAM ? undefined : test
}

/** Whether asking the test takes steps of a budget. */
export function takesSteps(test: SubjectTest): boolean {
  return sizeOf(test).program > 0
}

interface Size {
  readonly parts: number
  readonly characters: number
  readonly program: number
}

function sizeOf(test: SubjectTest): Size {
  switch (test.op) {
    case 'not':
      return sizeOf(test.of)
    case 'all':
    case 'any':
      return test.of.map(sizeOf).reduce(
        (sum, each) => ({
          parts: sum.parts + each.parts,
          characters: sum.characters + each.characters,
          program: sum.program + each.program,
        }),
        { parts: 0, characters: 0, program: 0 },
      )
    case 'oneOf':
      return { parts: 1, characters: lengthOf(test.values), program: 0 }
    case 'longest':
      return { parts: 1, characters: lengthOf(test.known), program: 0 }
    case 'equals':
      return { parts: 1, characters: lengthOf([test.value]), program: 0 }
    case 'below':
    case 'atMost':
    case 'above':
    case 'atLeast':
      return { parts: 1, characters: lengthOf([test.than]), program: 0 }
    case 'matches':
      return { parts: 1, characters: test.text.length, program: programSize(test.text) }
    default:
      return { parts: 1, characters: test.text.length, program: 0 }
  }
}

function lengthOf(values: readonly (PlainValue | number)[]): number {
  return values.reduce<number>((sum, value) => sum + (typeof value === 'string' ? value.length + 2 : 10), 0)
}

/**
 * The test that an operator or function of the name makes against a constant; operators by Mixer's names.
 * @param isSwapped whether the constant comes first
 */
export function comparison(name: string, constant: unknown, isSwapped: boolean): SubjectTest | undefined {
  const order = isSwapped ? SWAPPED[name] : ORDERED[name]
  if (order !== undefined) return isOrdered(constant) ? { op: order, than: constant } : undefined
  if (name === 'EQ' || name === 'NEQ') {
    if (!isPlain(constant)) return undefined
    const test = { op: 'equals', value: constant } as const
    return name === 'EQ' ? test : { op: 'not', of: test }
  }
  if (isSwapped || typeof constant !== 'string') return undefined
  if (name !== 'match') return textTest(name, constant)
  const { kind, text } = globPattern(constant)
  return kind === 'equals' ? { op: 'equals', value: text } : { op: kind, text }
}

const ORDERED: Readonly<Record<string, Order>> = { LT: 'below', LEQ: 'atMost', GT: 'above', GEQ: 'atLeast' }
const SWAPPED: Readonly<Record<string, Order>> = { LT: 'above', LEQ: 'atLeast', GT: 'below', GEQ: 'atMost' }
const TEXTS = { startsWith: 'prefix', endsWith: 'suffix', contains: 'contains', matches: 'matches' } as const

function textTest(name: string, text: string): SubjectTest | undefined {
  return Object.hasOwn(TEXTS, name) ? { op: TEXTS[name as keyof typeof TEXTS], text } : undefined
}

export function isPlain(value: unknown): value is PlainValue {
  return typeof value === 'string' || typeof value === 'bigint' || typeof value === 'boolean'
}

function isOrdered(value: unknown): value is string | bigint | number {
  return typeof value === 'string' || typeof value === 'bigint' || typeof value === 'number'
}

/** Makes a test something to ask. Patterns that do not compile are `undefined` for every value. */
export function askOf(test: SubjectTest): Ask {
  switch (test.op) {
    case 'equals':
      return ofType(typeof test.value, (value) => value === test.value)
    case 'oneOf':
      return oneOf(test.values)
    case 'prefix':
      return ofText((text) => text.startsWith(test.text))
    case 'suffix':
      return ofText((text) => text.endsWith(test.text))
    case 'contains':
      return ofText((text) => text.includes(test.text))
    case 'matches':
      return matching(test.text)
    case 'below':
    case 'atMost':
    case 'above':
    case 'atLeast':
      return ordered(test.than, ORDERS[test.op])
    case 'longest':
      return longest(test.side, test.known, test.affix)
    case 'not':
      return negated(askOf(test.of))
    case 'all':
      return inTurn(test.of.map(askOf), false)
    case 'any':
      return inTurn(test.of.map(askOf), true)
  }
}

function ofType(type: string, test: (value: AttributeValue) => boolean): Ask {
  if (type === 'string') return ofText(test)
  return (value) => (typeof value === type ? test(value) : undefined)
}

function ofText(test: (text: string) => boolean | undefined): Ask {
  return (value) => {
    return typeof value === 'string' && value.length <= MAX_TESTED_CHARACTERS ? test(value) : undefined
  }
}

function oneOf(values: readonly PlainValue[]): Ask {
  const known = new Set<AttributeValue>(values)
  return ofType(typeof (values[0] ?? ''), (value) => known.has(value))
}

function matching(source: string): Ask {
  const pattern = compilePattern(source)
  return ofText((text) => {
    const found = findPattern(pattern, text)
    return typeof found === 'boolean' ? found : undefined
  })
}

function ordered(than: string | bigint | number, holds: (order: number) => boolean): Ask {
  if (typeof than === 'string') return ofText((text) => holds(compareStrings(text, than)))
  return (value) => {
    if ((typeof value !== 'number' && typeof value !== 'bigint') || typeof value !== typeof than) return undefined
    // What is not a number is in no order.
    return value < than ? holds(-1) : value > than ? holds(1) : value === than && holds(0)
  }
}

function longest(side: Side, known: readonly string[], affix: string | undefined): Ask {
  const trie = new AffixTrie<string>(side)
  for (const text of known) trie.set(text, text)
  return ofText((text) => trie.longest(text) === affix)
}

function negated(ask: Ask): Ask {
  return (value) => {
    const answer = ask(value)
    return answer === undefined ? undefined : !answer
  }
}

function inTurn(asks: readonly Ask[], decisive: boolean): Ask {
  return (value) => {
    for (const ask of asks) {
      const answer = ask(value)
      if (answer !== !decisive) return answer
    }
    return !decisive
  }
}
