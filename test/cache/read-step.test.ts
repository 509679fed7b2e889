// Steps are data: what is written of them is enough to ask them in another process.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ReadCollector, type RecordedStep } from '../../src/cache/read-collector.ts'
import { stepOf } from '../../src/cache/read-step.ts'
import { ShapeTree } from '../../src/cache/shape-tree.ts'
import type { ReadQuestion } from '../../src/kernel/answer-shape.ts'
import { type AttributeBag, MapBag } from '../../src/kernel/attribute-bag.ts'
import { testPredicate } from '../../src/expression/test-predicate.ts'
import type { Predicate } from '../../src/kernel/read-log.ts'

const PREDICATES: ReadonlyMap<string, Predicate> = new Map(
  ['p', '', 'pq'].map((prefix): [string, Predicate] => [
    prefix,
    testPredicate({ attribute: 'a', mapKey: undefined }, { op: 'prefix', text: prefix }),
  ]),
)

/** What another process makes of steps that were sent to it. */
function travelled(steps: readonly RecordedStep[]): (RecordedStep | undefined)[] {
  const sent = steps.map(({ step, outcome, value }) => ({ data: step.travels(), outcome, value }))
  const read = JSON.parse(JSON.stringify(sent)) as {
    data?: ReadQuestion
    outcome: RecordedStep['outcome']
    value: string
  }[]
  return read.map(({ data, outcome, value }) => {
    const step = data && stepOf(data)
    return step && { step, outcome, value }
  })
}

const text = fc.constantFrom('', 'p', 'pq', 'k', '1:p', 'p\u0000')
const maps = fc.dictionary(text, text, { maxKeys: 3 }).map((entries) => new Map(Object.entries(entries)))
const bags = fc.record({ a: text, b: text, m: maps }, { requiredKeys: [] }).map((values) => MapBag.of(values))
const reads = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('attribute' as const), name: fc.constantFrom('a', 'b', 'm') }),
    fc.record({ kind: fc.constant('key' as const), key: text }),
    fc.record({ kind: fc.constant('map' as const) }),
    fc.record({ kind: fc.constant('predicate' as const), id: fc.constantFrom(...PREDICATES.keys()) }),
  ),
  { maxLength: 8 },
)
type Read = typeof reads extends fc.Arbitrary<(infer T)[]> ? T : never

function read(bag: AttributeBag, asked: Read, log: ReadCollector): void {
  const map = bag.get('m') as ReadonlyMap<string, string> | undefined
  if (asked.kind === 'attribute') log.attribute(asked.name, bag.get(asked.name))
  else if (asked.kind === 'map') log.wholeMap('m', map)
  else if (asked.kind === 'key') {
    if (map === undefined) log.attribute('m', undefined)
    else log.mapKey('m', asked.key, map.get(asked.key))
  } else {
    const predicate = PREDICATES.get(asked.id) as Predicate
    const answer = predicate.test(bag)
    if (answer === undefined) log.attribute('a', undefined)
    else log.predicate(predicate, answer)
  }
}

describe('the steps of an evaluation', () => {
  it('ask every bag the same after they were written as JSON', () => {
    fc.assert(
      fc.property(bags, bags, reads, (bag, other, asked) => {
        const log = new ReadCollector()
        for (const each of asked) read(bag, each, log)
        const arrived = travelled(log.steps)
        for (const [at, { step, outcome, value }] of log.steps.entries()) {
          const again = arrived[at]
          expect(again?.step.id).toBe(step.id)
          expect(again?.step.answer(bag)).toEqual({ outcome, value })
          expect(again?.step.answer(other)).toEqual(step.answer(other))
        }
        const here = new ShapeTree<true>()
        const there = new ShapeTree<true>()
        const [keep, drop] = [() => true as const, () => undefined]
        here.add(log.steps, keep, drop)
        there.add(
          arrived.filter((step) => step !== undefined),
          keep,
          drop,
        )
        const found = (_: true, values: string) => values
        expect(there.find(other, found)).toBe(here.find(other, found))
      }),
      { numRuns: 500 },
    )
  })

  it('do not travel where their predicate does not', () => {
    const log = new ReadCollector()
    const predicate = { id: 'own', attribute: 'a', mapKey: undefined, test: () => true, travels: () => undefined }
    log.predicate(predicate, true)
    expect(travelled(log.steps)).toEqual([undefined])
    expect(stepOf({ kind: 'predicate', name: 'a' })).toBeUndefined()
    expect(stepOf({ kind: 'key', name: 'm' })).toBeUndefined()
  })
})
