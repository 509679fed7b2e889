import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ReadCollector } from '../../src/cache/read-collector.ts'
import type { Predicate, ReadLog } from '../../src/kernel/read-log.ts'
import { newTrace, SelectionTrace } from '../../src/policy/selection-trace.ts'

/** One request's read; whether what it asks for is there is the same for all reads of the request. */
type Read = (log: ReadLog, absent: readonly string[]) => void

const NAME = fc.constantFrom('a', 'b', 'ab', '')
const KEY = fc.constantFrom('k', 'ab', '')
const PREDICATES: readonly Predicate[] = ['a', 'b'].map((attribute) => ({
  id: attribute,
  attribute,
  mapKey: attribute === 'b' ? 'k' : undefined,
  test: () => true,
  travels: () => undefined,
}))

const valueOf = (id: string, absent: readonly string[]) => (absent.includes(id) ? undefined : 'v')

const read: fc.Arbitrary<Read> = fc.oneof(
  NAME.map(
    (name): Read =>
      (log, absent) =>
        log.attribute(name, valueOf(name, absent)),
  ),
  fc.tuple(NAME, KEY).map(
    ([name, key]): Read =>
      (log, absent) => {
        log.mapKey(name, key, valueOf(`${name} ${key}`, absent))
      },
  ),
  NAME.map(
    (name): Read =>
      (log) =>
        log.wholeMap(name, new Map([['k', name]])),
  ),
  fc.constantFrom(...PREDICATES).map(
    (predicate): Read =>
      (log, absent) => {
        const { attribute, mapKey } = predicate
        const id = mapKey === undefined ? attribute : `${attribute} ${mapKey}`
        if (!absent.includes(id)) log.predicate(predicate, true)
      },
  ),
)
const absences = fc.array(fc.constantFrom('a', 'b', 'b k', 'ab ab', ' '))

describe('SelectionTrace', () => {
  it('leads to the references that a collector of the same reads gives', () => {
    const start = newTrace()
    fc.assert(
      fc.property(fc.array(read, { maxLength: 6 }), absences, (reads, absent) => {
        const collector = new ReadCollector()
        const trace = new SelectionTrace(start)
        for (const make of reads) {
          make(collector, absent)
          make(trace, absent)
        }
        expect(trace.place.references).toEqual(collector.referenced())
      }),
      { numRuns: 2_000 },
    )
  })

  it('comes to the same place, and to the same list with the reads of an answer, by the same reads', () => {
    const start = newTrace()
    const walk = (value: string | undefined) => {
      const trace = new SelectionTrace(start)
      trace.attribute('a', value)
      trace.mapKey('b', 'k', 'v')
      return trace.place
    }
    const reads = [{ name: 'c', key: undefined, condition: 'EXACT', whole: false }] as const
    expect(walk('one')).toBe(walk('two'))
    expect(walk('one').with(reads)).toBe(walk('two').with(reads))
    expect(walk(undefined)).not.toBe(walk('one'))
    expect(start.with(reads)).toBe(reads)
  })

  it('remembers no more places than its bound, and gives the references all the same', () => {
    const start = newTrace()
    const walk = (name: string) => {
      const trace = new SelectionTrace(start)
      trace.attribute(name, 'v')
      return trace.place
    }
    for (let i = 0; i < 10_000; i++) walk(`a${i}`)
    expect(walk('a1')).toBe(walk('a1'))
    expect(walk('late')).not.toBe(walk('late'))
    expect(walk('late').references).toEqual([{ name: 'late', key: undefined, condition: 'EXACT', whole: false }])
  })
})
