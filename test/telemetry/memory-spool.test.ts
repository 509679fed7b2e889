import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MemorySpool, type SpoolDrop } from '../../src/telemetry/memory-spool.ts'
import { type Parcel, parcelOf } from '../../src/telemetry/parcel.ts'
import { REPORT_FORMATS } from '../../src/wire/report-formats.ts'

type Format = 'attributes' | 'envoy-als' | 'of another version'

let serial = 0

function parcel(formats: readonly [Format, ...Format[]], count = 1, bytes = 100): Parcel {
  const payload = new Uint8Array(bytes)
  const [first, ...rest] = formats.map((format) => ({ id: `b-${++serial}`, format, count, payload, acceptedAt: 0 }))
  if (first === undefined) throw new Error('no batch')
  return parcelOf([first, ...rest])
}

function spoolOf(capacity: number) {
  const drops: { parcel: Parcel; reason: SpoolDrop }[] = []
  const spool = new MemorySpool(capacity, REPORT_FORMATS, (dropped, reason) => drops.push({ parcel: dropped, reason }))
  return { spool, drops }
}

/** What a spool must do, said in the plainest way: a list in order, searched from its start. */
class Model {
  readonly #capacity: number
  /** In the order of arrival. */
  readonly #waiting: { readonly order: number; readonly parcel: Parcel }[] = []
  readonly taken: { readonly order: number; readonly parcel: Parcel }[] = []
  readonly dropped: Parcel[] = []
  accepted = 0
  delivered = 0
  #next = 0

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get held(): readonly Parcel[] {
    return [...this.#waiting, ...this.taken].map((entry) => entry.parcel)
  }

  push(added: Parcel): void {
    this.accepted += added.count
    const room = () => this.#capacity - sum(this.held, 'bytes') - added.bytes
    while (room() < 0) {
      const spared = added.bytes > this.#capacity ? undefined : this.#victimFor(added)
      this.dropped.push(spared ?? added)
      if (spared === undefined) return
    }
    this.#waiting.push({ order: this.#next++, parcel: added })
  }

  take(): Parcel | undefined {
    const entry = this.#waiting.shift()
    if (entry !== undefined) this.taken.push(entry)
    return entry?.parcel
  }

  putBack(at: number): void {
    this.#waiting.push(...this.taken.splice(at, 1))
    this.#waiting.sort((a, b) => a.order - b.order)
  }

  release(at: number): void {
    for (const { parcel: released } of this.taken.splice(at, 1)) this.delivered += released.count
  }

  #victimFor(added: Parcel): Parcel | undefined {
    const low = this.#waiting.findIndex((entry) => isSparable(entry.parcel))
    const at = low >= 0 || isSparable(added) ? low : 0
    return at < 0 ? undefined : this.#waiting.splice(at, 1)[0]?.parcel
  }
}

function isSparable({ batches }: Parcel): boolean {
  return batches.every(({ format }) => format === 'envoy-als')
}

function sum(parcels: readonly Parcel[], what: 'bytes' | 'count'): number {
  return parcels.reduce((total, each) => total + each[what], 0)
}

const format = fc.constantFrom<Format>('attributes', 'envoy-als', 'of another version')
const push = fc.record({
  kind: fc.constant('push' as const),
  formats: fc.tuple(format, fc.option(format, { nil: undefined })),
  count: fc.integer({ min: 1, max: 9 }),
  bytes: fc.oneof(
    { weight: 9, arbitrary: fc.integer({ min: 0, max: 900 }) },
    { weight: 1, arbitrary: fc.constant(9_000) },
  ),
})
const take = fc.record({ kind: fc.constant('take' as const) })
const settle = fc.record({ kind: fc.constantFrom('putBack' as const, 'release' as const), which: fc.nat(20) })

describe('the spool in memory', () => {
  it('does as a plain list would: first in, first out, the least valuable and oldest given up for room', () => {
    const steps = fc.array(fc.oneof({ weight: 4, arbitrary: push }, { weight: 2, arbitrary: take }, settle), {
      maxLength: 120,
      size: 'max',
    })
    fc.assert(
      fc.property(steps, (list) => {
        const { spool, drops } = spoolOf(6_000)
        const model = new Model(6_000)
        const entries: NonNullable<ReturnType<MemorySpool['take']>>[] = []
        for (const step of list) {
          if (step.kind === 'push') {
            const [first, second] = step.formats
            const added = parcel(second === undefined ? [first] : [first, second], step.count, step.bytes)
            spool.push(added)
            model.push(added)
          } else if (step.kind === 'take') {
            const entry = spool.take()
            expect(entry?.parcel).toBe(model.take())
            if (entry !== undefined) entries.push(entry)
          } else if (entries.length > 0) {
            const at = step.which % entries.length
            const [entry] = entries.splice(at, 1)
            if (entry === undefined) throw new Error('nothing is taken')
            if (step.kind === 'putBack') spool.putBack(entry)
            else spool.release(entry.parcel)
            model[step.kind](at)
          }
          expect(drops.map((drop) => drop.parcel)).toEqual(model.dropped)
          expect(spool.bytes).toBe(sum(model.held, 'bytes'))
          expect(spool.bytes).toBeLessThanOrEqual(6_000)
          expect(model.accepted).toBe(model.delivered + spool.records + sum(model.dropped, 'count'))
        }
      }),
    )
  })

  it('says whether a parcel was too large for any room or there was no room', () => {
    const { spool, drops } = spoolOf(1_000)
    spool.push(parcel(['attributes'], 1, 1_000))
    spool.push(parcel(['attributes'], 1, 700))
    spool.push(parcel(['envoy-als'], 1, 700))
    expect(drops.map(({ reason }) => reason)).toEqual(['too-large', 'spool-full'])
    expect(spool.records).toBe(1)
  })

  it('gives up nothing that is on its way', () => {
    const { spool, drops } = spoolOf(1_000)
    const first = parcel(['envoy-als'], 1, 700)
    spool.push(first)
    spool.take()
    const second = parcel(['attributes'], 1, 700)
    spool.push(second)
    expect(drops.map((drop) => drop.parcel)).toEqual([second])
    expect(spool.bytes).toBe(first.bytes)
  })

  it('keeps its order over thousands of parcels that come and go', () => {
    const { spool } = spoolOf(Number.MAX_SAFE_INTEGER)
    const pushed = Array.from({ length: 10_000 }, (_, i) => parcel([i % 3 === 0 ? 'envoy-als' : 'attributes']))
    for (const each of pushed) spool.push(each)
    const taken: Parcel[] = []
    for (let entry = spool.take(); entry !== undefined; entry = spool.take()) {
      // Every seventh comes back once.
      if (taken.length % 7 === 3) {
        spool.putBack(entry)
        entry = spool.take()
      }
      if (entry !== undefined) taken.push(entry.parcel)
    }
    expect(taken).toEqual(pushed)
    for (const each of taken) spool.release(each)
    expect([spool.bytes, spool.records]).toEqual([0, 0])
  })
})
