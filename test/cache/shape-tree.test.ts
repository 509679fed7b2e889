import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { valueToText } from '../../src/adapter-kit/value-text.ts'
import { canonicalValue } from '../../src/cache/canonical-value.ts'
import { ReadCollector } from '../../src/cache/read-collector.ts'
import { ShapeTree } from '../../src/cache/shape-tree.ts'
import { type AttributeBag, MapBag } from '../../src/kernel/attribute-bag.ts'
import type { ReadLog } from '../../src/kernel/read-log.ts'
import { Duration } from '../../src/kernel/time.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'

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
    const test = (other: AttributeBag) => {
      const text = other.get(name)
      return typeof text === 'string' ? text.startsWith(prefix) : undefined
    }
    const answer = value.startsWith(prefix)
    log.predicate({ id: `prefix(${name},${prefix})`, attribute: name, mapKey: undefined, test }, answer)
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

describe('the shape tree', () => {
  it('finds for every bag exactly what its own evaluation gives, or nothing', () => {
    fc.assert(
      fc.property(
        program,
        fc.array(bag, { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 20 }),
        (p, records, capacity) => {
          const bags = records.map((values) => MapBag.of(values as Record<string, AttributeValue>))
          const tree = new ShapeTree(capacity, 4 * capacity)
          const stored = new Map<string, number>()
          for (const current of [...bags, ...bags]) {
            const expected = run(p, current, new ReadCollector())
            const found = tree.find(current, (key) => stored.get(key))
            expect(found ?? expected).toBe(expected)
            if (found !== undefined) continue
            const reads = new ReadCollector()
            stored.set(tree.keyFor((run(p, current, reads), reads.steps)), expected)
            expect(tree.find(current, (key) => stored.get(key))).toBe(expected)
          }
          expect(tree.size).toBeLessThanOrEqual(capacity)
          expect(tree.steps <= 4 * capacity || tree.size === 1).toBe(true)
        },
      ),
      { numRuns: 400 },
    )
  })

  it('finds an answer again for an equal bag', () => {
    const tree = new ShapeTree(8)
    const reads = new ReadCollector()
    reads.attribute('a', 'x')
    reads.mapKey('m', 'k', undefined)
    const key = tree.keyFor(reads.steps)
    const probe = (bagToFind: AttributeBag) => tree.find(bagToFind, (found) => (found === key ? 'hit' : undefined))
    expect(probe(MapBag.of({ a: 'x', m: new Map() }))).toBe('hit')
    expect(probe(MapBag.of({ a: 'x', m: new Map([['k', '']]) }))).toBeUndefined()
    expect(probe(MapBag.of({ a: 'x' }))).toBeUndefined()
    expect(probe(MapBag.of({ a: 'y', m: new Map() }))).toBeUndefined()
  })

  it('asks a bag each question once, however many paths it is on', () => {
    const tree = new ShapeTree(64)
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
      tree.keyFor(reads.steps)
    }
    walks = 0
    let probes = 0
    tree.find(MapBag.of({ path: '/new', headers }), () => {
      probes++
      return undefined
    })
    expect([probes, walks]).toEqual([64, 1])
  })

  it('does not take the absence of a whole map for an empty map', () => {
    const tree = new ShapeTree(8)
    const reads = new ReadCollector()
    reads.attribute('m', undefined)
    const key = tree.keyFor(reads.steps)
    const probe = (bagToFind: AttributeBag) => tree.find(bagToFind, (found) => (found === key ? 'hit' : undefined))
    expect(probe(MapBag.of({}))).toBe('hit')
    expect(probe(MapBag.of({ m: new Map() }))).toBeUndefined()
    expect(probe(MapBag.of({ m: new Map([['k', 'v']]) }))).toBeUndefined()
  })

  it('keeps only the shapes it has room for, the least recently used going first', () => {
    const tree = new ShapeTree(2)
    const keyOf = (name: string) => {
      const reads = new ReadCollector()
      reads.attribute(name, 'v')
      return tree.keyFor(reads.steps)
    }
    const keys = new Map(['a', 'b'].map((name) => [keyOf(name), name]))
    tree.find(MapBag.of({ a: 'v' }), (key) => keys.get(key))
    keys.set(keyOf('c'), 'c')
    const found = (name: string) => tree.find(MapBag.of({ [name]: 'v' }), (key) => keys.get(key))
    expect([found('a'), found('b'), found('c')]).toEqual(['a', undefined, 'c'])
  })
})

describe('a shape tree with long paths', () => {
  const LENGTH = 20_000
  const predicates = Array.from({ length: LENGTH }, (_, i) => {
    const test = (bag: AttributeBag) => bag.get('a') === `/${i}/`
    return { id: `is ${i}`, attribute: 'a', mapKey: undefined, test }
  })
  /** The reads of many rules, as the collector would hand them on if it had no bound of its own. */
  const stepsOf = (path: string) => {
    const bag = MapBag.of({ a: path })
    return predicates.flatMap((predicate) => {
      const reads = new ReadCollector()
      reads.predicate(predicate, predicate.test(bag))
      return reads.steps
    })
  }

  it('finds and forgets shapes of any length', () => {
    const tree = new ShapeTree(2)
    const [none, first, last] = ['/x/', '/0/', `/${LENGTH - 1}/`] as const
    const keys = new Map<string, string>([none, first].map((path) => [tree.keyFor(stepsOf(path)), path]))
    const found = (path: string) => tree.find(MapBag.of({ a: path }), (key) => keys.get(key))
    expect([found(none), found(first), found(last)]).toEqual([none, first, undefined])
    keys.set(tree.keyFor(stepsOf(last)), last)
    expect([found(none), found(first), found(last)]).toEqual([undefined, first, last])
    expect(tree.steps).toBe(2 * LENGTH)
    tree.clear()
    expect([found(first), tree.size, tree.steps]).toEqual([undefined, 0, 0])
  })

  it('keeps no more steps than it has room for, save those of the latest shape', () => {
    const tree = new ShapeTree(8, LENGTH + 10)
    for (const path of ['/x/', '/0/', '/1/']) tree.keyFor(stepsOf(path))
    expect([tree.size, tree.steps]).toEqual([1, LENGTH])
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
