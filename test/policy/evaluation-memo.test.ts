import { describe, expect, it } from 'vitest'
import { type AttributeBag, MapBag } from '../../src/kernel/attribute-bag.ts'
import type { ReadLog } from '../../src/kernel/read-log.ts'
import { EvaluationMemo } from '../../src/policy/evaluation-memo.ts'

/** Reads `a`, and `b` where `a` is "two". */
function evaluate(bag: AttributeBag, log?: ReadLog): string {
  const a = bag.get('a') as string | undefined
  log?.attribute('a', a)
  if (a !== 'two') return String(a)
  const b = bag.get('b') as string | undefined
  log?.attribute('b', b)
  return `two ${b ?? ''}`
}

function use(memo: EvaluationMemo<string>, values: Readonly<Record<string, string>>): { value: string; was: string } {
  const bag = MapBag.of(values)
  const known = memo.find(bag)
  if (known !== undefined) return { value: known, was: 'known' }
  return {
    value: memo.evaluate(
      bag,
      (log) => evaluate(bag, log),
      (value): value is string => value !== '',
    ),
    was: 'new',
  }
}

describe('the memo of evaluations', () => {
  it('finds a result by what was read for it, absences included, and by nothing else', () => {
    const memo = new EvaluationMemo<string>()
    expect(use(memo, { a: 'one', b: 'x' })).toEqual({ value: 'one', was: 'new' })
    expect(use(memo, { a: 'one', b: 'y' })).toEqual({ value: 'one', was: 'known' })
    expect(use(memo, { a: 'two', b: 'x' })).toEqual({ value: 'two x', was: 'new' })
    expect(use(memo, { a: 'two', b: 'y' })).toEqual({ value: 'two y', was: 'new' })
    expect(use(memo, { b: 'x' })).toEqual({ value: 'undefined', was: 'new' })
    for (const values of [{ a: 'two', b: 'x' }, { a: 'two', b: 'y' }, { c: 'x' }]) {
      expect(use(memo, values).was).toBe('known')
    }
  })

  it('keeps nothing of an evaluation that met what is ambiguous or unknown', () => {
    const memo = new EvaluationMemo<string>()
    const map = Object.assign(new Map([['k', 'v']]), { ambiguity: () => 'value' as const })
    const bag = new MapBag(new Map([['m', map]]))
    const read = (log?: ReadLog) => {
      log?.mapKey('m', 'k', 'v')
      return 'v'
    }
    memo.evaluate(bag, read, (value): value is string => value !== '')
    expect(memo.find(bag)).toBeUndefined()
  })

  it('stays within its bound, and rests where what it keeps is of no use', () => {
    const memo = new EvaluationMemo<string>(100_000)
    let most = 0
    for (let i = 0; i < 5_000; i++) {
      expect(use(memo, { a: `a${i}` })).toEqual({ value: `a${i}`, was: 'new' })
      most = Math.max(most, memo.bytes)
    }
    expect(most).toBeGreaterThan(90_000)
    expect(most).toBeLessThan(110_000)
    const seen = Array.from({ length: 5_000 }, () => use(memo, { a: 'often' }).was)
    expect(seen).toContain('known')
  })
})
