import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { valueToText } from '../../src/adapter-kit/value-text.ts'
import { canonicalValue } from '../../src/cache/canonical-value.ts'
import { ReadCollector, type RecordedStep } from '../../src/cache/read-collector.ts'
import { type Shape, ShapeTree } from '../../src/cache/shape-tree.ts'
import { type AttributeBag, MapBag } from '../../src/kernel/attribute-bag.ts'
import type { ReadLog } from '../../src/kernel/read-log.ts'
import { Duration } from '../../src/kernel/time.ts'
import { testPredicate } from '../../src/expression/test-predicate.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'

/** A tree of which each shape keeps what was stored for the values that it was reached with. */
class Answers<T> {
  readonly tree = new ShapeTree<Map<string, T>>()
  readonly #capacity: number
  readonly shapes: Shape<Map<string, T>>[] = []
  readonly dropped: Map<string, T>[] = []

  /** Beyond the capacity the oldest shapes are removed. */
  constructor(capacity = Number.POSITIVE_INFINITY) {
    this.#capacity = capacity
  }

  store(steps: readonly RecordedStep[], answer: T): void {
    const keep = () => new Map<string, T>()
    const shape = this.tree.add(steps, keep, (kept) => this.dropped.push(kept))
    shape.kept.set(steps.map(({ value }) => value).join(''), answer)
    if (!this.shapes.includes(shape)) this.shapes.push(shape)
    while (this.shapes.length > this.#capacity) this.tree.remove(this.shapes.shift() as Shape<Map<string, T>>)
  }

  find(bag: AttributeBag): T | undefined {
    return this.tree.find(bag, (kept, values) => kept.get(values))
  }
}

/** A random deterministic evaluation: a decision tree over reads. */
type Program =
  | { readonly kind: 'result'; readonly value: number }
  | { readonly kind: 'attribute'; readonly name: string; readonly branches: readonly Program[] }
  | { readonly kind: 'key'; readonly name: string; readonly key: string; readonly branches: readonly Program[] }
  | { readonly kind: 'whole'; readonly name: string; readonly branches: readonly Program[] }
  | { readonly kind: 'prefix'; readonly name: string; readonly prefix: string; readonly branches: readonly Program[] }

const SCALARS = ['a', 'b', 'c']
const MAPS = ['m', 'n']

function run(program: Program, bag: AttributeBag, log: ReadLog): number {
  if (program.kind === 'result') return program.value
  const next = (key: string) => {
    let hash = 7
    for (const char of key) hash = (hash * 31 + char.charCodeAt(0)) % 1009
    return run(program.branches[hash % program.branches.length] as Program, bag, log)
  }
  const value = bag.get(program.name)
  if (program.kind === 'attribute') {
    log.attribute(program.name, value)
    return next(value === undefined ? 'absent' : `v${canonicalValue(value)}`)
  }
  if (program.kind === 'prefix') {
    if (typeof value !== 'string') {
      log.attribute(program.name, value)
      return next('absent')
    }
    const { name, prefix } = program
    const answer = value.startsWith(prefix)
    log.predicate(testPredicate({ attribute: name, mapKey: undefined }, { op: 'prefix', text: prefix }), answer)
    return next(String(answer))
  }
  if (program.kind === 'whole') {
    log.wholeMap(program.name, value)
    return next(value === undefined ? 'no map' : canonicalValue(value))
  }
  if (!(value instanceof Map)) {
    log.attribute(program.name, undefined)
    return next('no map')
  }
  const item = value.get(program.key) as string | undefined
  log.mapKey(program.name, program.key, item)
  return next(item === undefined ? 'no key' : `k${item}`)
}

const { program } = fc.letrec<{ program: Program }>((tie) => {
  const branches = fc.array(tie('program'), { minLength: 1, maxLength: 3 })
  return {
    program: fc.oneof(
      { depthSize: 'medium', withCrossShrink: true },
      fc.record({ kind: fc.constant('result' as const), value: fc.nat(1000) }),
      fc.record({ kind: fc.constant('attribute' as const), name: fc.constantFrom(...SCALARS), branches }),
      fc.record({
        kind: fc.constant('key' as const),
        name: fc.constantFrom(...MAPS),
        key: fc.constantFrom('x', 'y'),
        branches,
      }),
      fc.record({ kind: fc.constant('whole' as const), name: fc.constantFrom(...MAPS), branches }),
      fc.record({
        kind: fc.constant('prefix' as const),
        name: fc.constantFrom(...SCALARS),
        prefix: fc.constantFrom('', 'p', 'pq'),
        branches,
      }),
    ),
  }
})

const text = fc.constantFrom('', 'p', 'pq', 'q', '5', '1:p', 'p\u0000')
const scalar: fc.Arbitrary<AttributeValue> = fc.oneof(
  text,
  fc.constantFrom(5n, 5, true, new Duration(5n), new Duration(6n), Uint8Array.of(5), Uint8Array.of(5, 5)),
)
const map = fc
  .dictionary(fc.constantFrom('x', 'y', 'z'), text, { maxKeys: 3 })
  .map((record) => new Map(Object.entries(record)))
const bag = fc.record({ a: scalar, b: scalar, c: text, m: map, n: map }, { requiredKeys: [] })

const EMPTY = new ShapeTree().bytes

describe('the shape tree', () => {
  it('finds for every bag exactly what its own evaluation gives, or nothing', () => {
    fc.assert(
      fc.property(
        program,
        fc.array(bag, { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 20 }),
        (p, records, capacity) => {
          const bags = records.map((values) => MapBag.of(values as Record<string, AttributeValue>))
          const answers = new Answers<number>(capacity)
          for (const current of [...bags, ...bags]) {
            const reads = new ReadCollector()
            const expected = run(p, current, reads)
            const found = answers.find(current)
            expect(found ?? expected).toBe(expected)
            if (found !== undefined) continue
            answers.store(reads.steps, expected)
            expect(answers.find(current)).toBe(expected)
          }
          const { tree, shapes } = answers
          expect(tree.size).toBe(shapes.length)
          for (const shape of shapes) tree.remove(shape)
          expect([tree.size, tree.bytes]).toEqual([0, EMPTY])
        },
      ),
      { numRuns: 400 },
    )
  })

  it('finds an answer again for an equal bag', () => {
    const answers = new Answers<string>()
    const reads = new ReadCollector()
    reads.attribute('a', 'x')
    reads.mapKey('m', 'k', undefined)
    answers.store(reads.steps, 'hit')
    expect(answers.find(MapBag.of({ a: 'x', m: new Map() }))).toBe('hit')
    expect(answers.find(MapBag.of({ a: 'x', m: new Map([['k', '']]) }))).toBeUndefined()
    expect(answers.find(MapBag.of({ a: 'x' }))).toBeUndefined()
    expect(answers.find(MapBag.of({ a: 'y', m: new Map() }))).toBeUndefined()
  })

  it('asks a bag each question once, however many paths it is on', () => {
    const answers = new Answers<string>()
    let walks = 0
    const headers = {
      size: 1,
      get: () => undefined,
      *entries(): Generator<[string, string]> {
        walks++
        yield ['a', 'b']
      },
    }
    for (let i = 0; i < 64; i++) {
      const reads = new ReadCollector()
      reads.attribute('path', `/${i}`)
      reads.mapKey('headers', `/${i}`, undefined)
      reads.wholeMap('headers', headers)
      answers.store(reads.steps, 'hit')
    }
    walks = 0
    let probes = 0
    answers.tree.find(MapBag.of({ path: '/new', headers }), () => {
      probes++
      return undefined
    })
    expect([probes, walks]).toEqual([64, 1])
  })

  it('keeps so many questions at one place, the latest, and tries only so many for a request', () => {
    const answers = new Answers<string>()
    for (let i = 0; i < 1_000; i++) {
      const reads = new ReadCollector()
      for (const name of ['a', 'b', 'c']) {
        reads.attribute(name, `/${i}`)
        reads.mapKey('headers', `${name}${i}`, undefined)
      }
      answers.store(reads.steps, `${i}`)
    }
    const find = (i: number, path = `/${i}`) =>
      answers.find(MapBag.of({ a: path, b: path, c: path, headers: new Map() }))
    expect([find(0), find(999), find(940), answers.tree.size]).toEqual([undefined, '999', '940', 64])
    expect(answers.dropped).toHaveLength(1_000 - 64)
    let asked = 0
    const bag = MapBag.of({ a: '/x', b: '/x', c: '/x', headers: new Map() })
    const counting: AttributeBag = { get: (name) => (asked++, bag.get(name)), names: () => bag.names() }
    answers.tree.find(counting, () => undefined)
    expect(asked).toBeLessThan(1_000)
  })

  it('does not take the absence of a whole map for an empty map', () => {
    const answers = new Answers<string>()
    const reads = new ReadCollector()
    reads.attribute('m', undefined)
    answers.store(reads.steps, 'hit')
    expect(answers.find(MapBag.of({}))).toBe('hit')
    expect(answers.find(MapBag.of({ m: new Map() }))).toBeUndefined()
    expect(answers.find(MapBag.of({ m: new Map([['k', 'v']]) }))).toBeUndefined()
  })
})

describe('a shape tree with long paths', () => {
  const LENGTH = 20_000
  const predicates = Array.from({ length: LENGTH }, (_, i) => {
    return testPredicate({ attribute: 'a', mapKey: undefined }, { op: 'equals', value: `/${i}/` })
  })
  /** The reads of many rules, as the collector would hand them on if it had no bound of its own. */
  const stepsOf = (path: string, count = LENGTH) => {
    const bag = MapBag.of({ a: path })
    return predicates.slice(0, count).flatMap((predicate) => {
      const reads = new ReadCollector()
      reads.predicate(predicate, predicate.test(bag) === true)
      return reads.steps
    })
  }

  it('finds and forgets shapes of any length', () => {
    const answers = new Answers<string>(2)
    const [none, first, last] = ['/x/', '/0/', `/${LENGTH - 1}/`] as const
    for (const path of [none, first]) answers.store(stepsOf(path), path)
    const found = (path: string) => answers.find(MapBag.of({ a: path }))
    expect([found(none), found(first), found(last)]).toEqual([none, first, undefined])
    answers.store(stepsOf(last), last)
    expect([found(none), found(first), found(last)]).toEqual([undefined, first, last])
  })

  it('takes some bytes for each step, however many shapes there are', () => {
    const answers = new Answers<string>()
    const count = 400
    for (let i = 0; i < count; i++) answers.store(stepsOf(`/${i}/`, count), `/${i}/`)
    for (let i = 0; i < count; i++) expect(answers.find(MapBag.of({ a: `/${i}/` }))).toBe(`/${i}/`)
    // The steps after the one that is true are each shape's own.
    expect(answers.tree.bytes).toBeLessThan(10 * ((count * count) / 2) + 700 * count)
  })
})

describe('canonical values', () => {
  it('are equal only for equal values of the same type', () => {
    fc.assert(
      fc.property(fc.oneof(scalar, map), fc.oneof(scalar, map), (left, right) => {
        const same = describeValue(left) === describeValue(right)
        expect(canonicalValue(left) === canonicalValue(right)).toBe(same)
      }),
    )
  })

  it('do not depend on the order of a map', () => {
    const forth = new Map([
      ['a', '1'],
      ['b', '2'],
    ])
    const back = new Map([
      ['b', '2'],
      ['a', '1'],
    ])
    expect(canonicalValue(forth)).toBe(canonicalValue(back))
  })
})

/** An independent rendering of type and value. */
function describeValue(value: AttributeValue): string {
  if (value instanceof Map) return `map ${JSON.stringify([...value].sort(([a], [b]) => (a < b ? -1 : 1)))}`
  if (value instanceof Uint8Array) return `bytes ${JSON.stringify([...value])}`
  return `${value?.constructor?.name} ${valueToText(value)}`
}
