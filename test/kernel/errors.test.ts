import { describe, expect, it } from 'vitest'
import { causesOf, IntermixError, reasonsOf } from '../../src/kernel/errors.ts'
import { redisTrouble } from '../../src/redis/trouble.ts'

/** Two errors, each of which is the cause of the other. */
function circle(): Error {
  const first = new Error('first')
  first.cause = new Error('second', { cause: first })
  return first
}

describe('the causes behind an error', () => {
  it('are told each once, also where they lead back to it', () => {
    expect([...causesOf(circle())].map(({ message }) => message)).toEqual(['first', 'second'])
    expect([...causesOf('no error')]).toEqual([])
    expect(reasonsOf(circle())).toBe('first: second')
    expect(redisTrouble(circle())).toBeUndefined()
  })

  it('say in one line what none of them has said already, and no more than six of them', () => {
    const refused = Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' })
    const told = new IntermixError('BACKEND_FAILED', 'it failed: why', { cause: new Error('why', { cause: refused }) })
    expect(reasonsOf(told)).toBe('it failed: why: ECONNREFUSED')
    let deep = new Error('0')
    for (let i = 1; i < 10; i++) deep = new Error(String(i), { cause: deep })
    expect(reasonsOf(deep)).toBe('9: 8: 7: 6: 5: 4')
  })
})
