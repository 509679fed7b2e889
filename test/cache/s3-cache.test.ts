import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Ghosts } from '../../src/cache/ghosts.ts'
import { S3Cache } from '../../src/cache/s3-cache.ts'

const UNIT = 10

/** The paper's algorithm over plain arrays, with a ghost queue of keys. */
class Oracle {
  readonly #capacity: number
  readonly #uses = new Map<number, number>()
  readonly #small: number[] = []
  readonly #main: number[] = []
  readonly #ghosts: number[] = []

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  ask(key: number): boolean {
    const uses = this.#uses.get(key)
    if (uses !== undefined) {
      this.#uses.set(key, Math.min(3, uses + 1))
      return true
    }
    const ghost = this.#ghosts.lastIndexOf(key)
    const isRecent = ghost >= 0 && this.#ghosts.length - ghost <= this.#main.length
    if (isRecent) this.#main.push(key)
    else this.#small.push(key)
    if (ghost >= 0) this.#ghosts[ghost] = -1
    this.#uses.set(key, 0)
    while (this.#uses.size > this.#capacity) this.#evict()
    return false
  }

  #evict(): void {
    for (;;) {
      if (this.#small.length >= 0.1 * this.#uses.size || this.#main.length === 0) {
        const key = this.#small.shift() as number
        if ((this.#uses.get(key) ?? 0) <= 1) {
          this.#uses.delete(key)
          this.#ghosts.push(key)
          return
        }
        this.#uses.set(key, 0)
        this.#main.push(key)
      } else {
        const key = this.#main.shift() as number
        const uses = this.#uses.get(key) ?? 0
        if (uses === 0) {
          this.#uses.delete(key)
          return
        }
        this.#uses.set(key, uses - 1)
        this.#main.push(key)
      }
    }
  }
}

/** Fingerprints of small numbers that have a place each among the ghosts: the inverse of how those choose it. */
const apart = (key: number) => Math.imul(key << 5, 0xe8b2f51)

function cacheOf(capacity: number, onEvict = () => {}) {
  const options = { maxBytes: capacity * UNIT, fingerprint: apart, onEvict }
  return new S3Cache<number, number>(options)
}

it('keeps what the algorithm of the paper keeps', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 30 }),
      fc.array(fc.oneof(fc.nat(8), fc.nat(60)), { maxLength: 400 }),
      (capacity, keys) => {
        const cache = cacheOf(capacity)
        const oracle = new Oracle(capacity)
        for (const key of keys) {
          const isHit = cache.get(key) !== undefined
          expect(isHit).toBe(oracle.ask(key))
          if (!isHit) cache.set(key, key, UNIT)
          expect(cache.bytes).toBeLessThanOrEqual(capacity * UNIT)
        }
      },
    ),
  )
})

it('counts what it holds, whatever is done to it', () => {
  const step = fc.record({
    what: fc.constantFrom('get', 'set', 'delete', 'resize'),
    key: fc.nat(20),
    bytes: fc.integer({ min: 1, max: 40 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const cache = cacheOf(10)
      const held = new Map<number, number>()
      let bound = 10 * UNIT
      for (const { what, key, bytes } of steps) {
        if (what === 'set') cache.set(key, key, bytes)
        if (what === 'set') held.set(key, bytes)
        if (what === 'delete') cache.delete(key)
        if (what === 'get') expect([undefined, key]).toContain(cache.get(key))
        if (what === 'resize') {
          bound = bytes * 5
          cache.maxBytes = bound
        }
        for (const each of held.keys()) if (cache.peek(each) === undefined) held.delete(each)
        let total = 0
        for (const each of held.values()) total += each
        expect([cache.size, cache.bytes]).toEqual([held.size, total])
        expect(total).toBeLessThanOrEqual(bound)
      }
    }),
  )
})

it('survives a scan: what was asked for again stays', () => {
  const cache = cacheOf(100)
  for (let round = 0; round < 3; round++)
    for (let key = 0; key < 50; key++) if (cache.get(key) === undefined) cache.set(key, key, UNIT)
  for (let key = 1_000; key < 6_000; key++) cache.set(key, key, UNIT)
  let left = 0
  for (let key = 0; key < 50; key++) if (cache.peek(key) !== undefined) left++
  expect(left).toBe(50)
})

it('forgets all, and tells of each that room was made from', () => {
  let evicted = 0
  const cache = cacheOf(5, () => evicted++)
  for (let key = 0; key < 8; key++) cache.set(key, key, UNIT)
  expect([evicted, cache.size]).toEqual([3, 5])
  cache.clear()
  expect([cache.size, cache.bytes, cache.evict(), evicted]).toEqual([0, 0, false, 3])
})

it('remembers ghosts for as many others as are asked for', () => {
  const ghosts = new Ghosts()
  for (let key = 1; key <= 1_000; key++) {
    ghosts.take(0, 1_000)
    ghosts.remember(key)
  }
  expect([ghosts.take(999, 10), ghosts.take(999, 10), ghosts.take(900, 10)]).toEqual([true, false, false])
})
