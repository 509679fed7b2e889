// What is served after what nodes have told of revocations: scenes, and random histories of a mesh held against what was
// recorded in it.

import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { RevocationCallers } from '../../../src/cache/revocation-callers.ts'
import { Revocations } from '../../../src/cache/revocations.ts'
import { HeardRevocations } from '../../../src/client/nodes/heard-revocations.ts'
import { MapBag } from '../../../src/kernel/attribute-bag.ts'
import { type Epoch, type Revocation, OUT_OF_TOUCH_MS } from '../../../src/kernel/revocation.ts'
import { CallerNews } from '../../../src/server/caller-news.ts'
import type { Heard, News } from '../../../src/wire/batch/news.ts'
import { FakeClock } from '../../helpers/clock.ts'

const NOTHING = MapBag.of({})
const MAX_AGE_MS = 30_000
const named = (number: number) => `t${number}/${number}@1`

describe('what was heard of revocations', () => {
  let clock: FakeClock
  let heard: HeardRevocations

  const news = (generation: string, sequence: number, more: Partial<News> = {}): News => ({
    ask: 0,
    epoch: { generation, sequence },
    revocations: [],
    outOfTouchMs: 0,
    maxAgeMs: MAX_AGE_MS,
    load: 0,
    ...more,
  })
  const of = (sequence: number, handler: string): Revocation => ({ sequence, target: { kind: 'handler', handler } })
  const allows = (generation: string, sequence: number, handler = 'h') =>
    heard.allows({ generation, sequence }, [handler], NOTHING)

  beforeEach(() => {
    clock = new FakeClock()
    heard = new HeardRevocations(clock)
  })

  it('is nothing before any node has told: nothing may be given', () => {
    expect([allows('local', 0), heard.maxAgeMs()]).toEqual([false, MAX_AGE_MS])
  })

  it('begins where a node is: what was answered before is void', () => {
    const node = heard.teller()
    expect(node.heard().epoch).toBeUndefined()
    expect(node.take(news(named(1), 5), undefined)).toBe(true)
    expect([allows(named(1), 4), allows(named(1), 5), allows(named(1), 6)]).toEqual([false, true, false])
    expect(node.heard().epoch).toEqual({ generation: named(1), sequence: 5 })
  })

  it('voids what is revoked, and everything where some are missing', () => {
    const node = heard.teller()
    node.take(news(named(1), 5), undefined)
    expect(node.take(news(named(1), 6, { revocations: [of(6, 'h')] }), undefined)).toBe(true)
    expect([allows(named(1), 5), allows(named(1), 5, 'other')]).toEqual([false, true])
    node.take(news(named(1), 9, { revocations: [of(8, 'h'), of(9, 'h')] }), undefined)
    expect([allows(named(1), 8, 'other'), allows(named(1), 9)]).toEqual([false, true])
  })

  it('is not taken back by a node that is behind, and counts as heard from it', () => {
    const [one, two] = [heard.teller(), heard.teller()]
    one.take(news(named(1), 5), clock.monotonic())
    one.take(news(named(1), 7, { revocations: [of(6, 'h'), of(7, 'h')] }), undefined)
    expect(two.take(news(named(1), 5), clock.monotonic())).toBe(false)
    expect([allows(named(1), 5), allows(named(1), 5, 'other'), allows(named(1), 7)]).toEqual([false, true, true])
    expect(two.heard().epoch?.sequence).toBe(7)
  })

  it('follows the later generation, whoever tells it, and does not go back while it is told', () => {
    const [one, two] = [heard.teller(), heard.teller()]
    one.take(news(named(1), 5), clock.monotonic())
    two.take(news(named(1), 5), clock.monotonic())
    one.take(news(named(2), 0), undefined)
    expect([allows(named(1), 5), allows(named(2), 0), heard.maxAgeMs()]).toEqual([false, true, MAX_AGE_MS])
    expect(two.take(news(named(1), 5), clock.monotonic())).toBe(false)
    expect([allows(named(1), 5), two.heard().epoch, heard.maxAgeMs()]).toEqual([false, undefined, MAX_AGE_MS])
    expect(one.heard().epoch?.generation).toBe(named(2))
  })

  it('goes on with the numbers of a Redis that begins anew, once nobody tells the old ones', () => {
    const [one, two] = [heard.teller(), heard.teller()]
    one.take(news(named(17), 5), clock.monotonic())
    expect(two.take(news(named(1), 0), clock.monotonic())).toBe(false)
    one.lost()
    expect(allows(named(17), 5)).toBe(true)
    expect(two.take(news(named(1), 0), clock.monotonic())).toBe(true)
    expect([allows(named(17), 5), allows(named(1), 0)]).toEqual([false, true])
  })

  it('keeps nodes without a Redis apart: each voids what it has answered itself', async () => {
    const [one, two] = [heard.teller(), heard.teller()]
    one.take(news('own-a', 0), clock.monotonic())
    two.take(news('own-b', 3), clock.monotonic())
    one.take(news('own-a', 1, { revocations: [of(1, 'h')] }), clock.monotonic())
    expect([allows('own-a', 0), allows('own-b', 3), one.heard().epoch?.sequence, two.heard().epoch?.sequence]).toEqual([
      false,
      true,
      1,
      3,
    ])
    // One that has started again knows nothing of what was revoked before.
    one.take(news('own-c', 0), clock.monotonic())
    expect([allows('own-a', 1), allows('own-c', 0), allows('own-b', 3)]).toEqual([false, true, true])
    // All that one has answered is too old when it was not heard for so long: it does not bound what others say.
    two.lost()
    await clock.advance(OUT_OF_TOUCH_MS + MAX_AGE_MS)
    expect([heard.maxAgeMs(), allows('own-b', 3)]).toEqual([MAX_AGE_MS, true])
    one.take(news('own-c', 0), clock.monotonic())
    expect([heard.maxAgeMs(), allows('own-b', 3)]).toEqual([Number.POSITIVE_INFINITY, false])
    one.gone()
    expect(allows('own-c', 0)).toBe(false)
  })

  it('goes on where the node it was heard of is replaced by another one of the mesh', () => {
    const one = heard.teller()
    one.take(news(named(1), 5), clock.monotonic())
    one.gone()
    const two = heard.teller()
    expect(two.heard().epoch).toEqual({ generation: named(1), sequence: 5 })
    two.take(news(named(1), 6, { revocations: [of(6, 'x')] }), clock.monotonic())
    expect(allows(named(1), 5)).toBe(true)
  })
})

describe('who hears no node', () => {
  let clock: FakeClock
  let heard: HeardRevocations

  beforeEach(async () => {
    clock = new FakeClock()
    heard = new HeardRevocations(clock)
    await clock.advance(10_000)
  })

  const news = (sequence: number, outOfTouchMs = 0) => ({
    ask: 1,
    epoch: { generation: named(1), sequence },
    revocations: [],
    outOfTouchMs,
    maxAgeMs: MAX_AGE_MS,
    load: 0,
    config: undefined,
    members: undefined,
  })

  it('gives on what was not revoked when it was in touch last, for as long as an answer may be old', async () => {
    const teller = heard.teller()
    teller.take(news(3), clock.monotonic())
    teller.lost()
    await clock.advance(31_999)
    expect(heard.maxAgeMs()).toBe(Number.POSITIVE_INFINITY)
    expect(heard.allows({ generation: named(1), sequence: 3 }, [], NOTHING)).toBe(true)
    await clock.advance(1)
    expect(heard.maxAgeMs()).toBe(MAX_AGE_MS)
  })

  it('counts from when it asked, less the time for which the node itself is out of touch', async () => {
    const teller = heard.teller()
    const askedAt = clock.monotonic()
    await clock.advance(1_000)
    teller.take(news(3, 5_000), askedAt)
    await clock.advance(25_999)
    expect(heard.maxAgeMs()).toBe(Number.POSITIVE_INFINITY)
    await clock.advance(1)
    expect(heard.maxAgeMs()).toBe(MAX_AGE_MS)
  })

  it('takes nothing that a node tells by itself for a sign that all is known', () => {
    const teller = heard.teller()
    teller.take(news(3), undefined)
    expect(heard.maxAgeMs()).toBe(MAX_AGE_MS)
  })
})

/** A mesh: a log with generations, nodes that read it now and then, and a caller with a stream to each, all of it late. */
class Mesh {
  readonly clock = new FakeClock()
  readonly heard = new HeardRevocations(this.clock)
  readonly nodes: MeshNode[] = []
  readonly answers: Epoch[] = []
  generation = 1
  /** What was recorded, with when. */
  readonly records: { readonly epoch: Epoch; readonly at: number; readonly handler: string | undefined }[] = []
  /** What everybody has confirmed: what it voids must not be given any more. */
  readonly obeyed: Mesh['records'] = []

  constructor(count: number) {
    for (let i = 0; i < count; i++) this.nodes.push(new MeshNode(this))
  }

  /** Handlers are by the parity of the sequence, so that some answers stay. */
  revoke(): void {
    const before = this.records.at(-1)
    const generation = named(this.generation)
    const sequence = before?.epoch.generation === generation ? before.epoch.sequence + 1 : 1
    const handler = sequence % 3 === 0 ? undefined : `h${sequence % 2}`
    this.records.push({ epoch: { generation, sequence }, at: this.clock.monotonic(), handler })
  }

  beginAnew(): void {
    this.generation++
    this.records.push({
      epoch: { generation: named(this.generation), sequence: 0 },
      at: this.clock.monotonic(),
      handler: undefined,
    })
  }

  /** All live nodes have told the log that they and their callers have applied all: a receipt would name nobody. */
  noteObeyed(): void {
    const last = this.records.at(-1)
    const isConfirmed = (node: MeshNode) =>
      node.revocations.epoch.generation === last?.epoch.generation &&
      node.callers.confirmed() >= last.epoch.sequence &&
      node.callers.late() === undefined
    if (last === undefined || !this.nodes.every(isConfirmed) || !this.nodes.some(({ news }) => news !== undefined))
      return
    this.obeyed.push(...this.records.slice(this.obeyed.length))
  }

  judge(): void {
    const now = this.clock.monotonic()
    const isSure = this.heard.maxAgeMs() === Number.POSITIVE_INFINITY
    for (const epoch of this.answers) {
      for (const handler of ['h0', 'h1']) {
        if (!this.heard.allows(epoch, [handler], NOTHING)) continue
        for (const [at, record] of this.records.entries()) {
          if (!voids(record, epoch, handler)) continue
          if (at < this.obeyed.length)
            throw new Error(`served although all obeyed ${JSON.stringify({ epoch, record })}`)
          if (isSure && record.at <= now - OUT_OF_TOUCH_MS - 1_000)
            throw new Error(`served after ${now - record.at} ms ${JSON.stringify({ epoch, record })}`)
        }
      }
    }
  }
}

function voids(record: Mesh['records'][0], epoch: Epoch, handler: string): boolean {
  const numberOf = ({ generation }: Epoch) => Number(/\/(\d+)@/.exec(generation)?.[1])
  if (numberOf(record.epoch) !== numberOf(epoch)) return numberOf(record.epoch) > numberOf(epoch)
  return record.epoch.sequence > epoch.sequence && (record.handler === undefined || record.handler === handler)
}

class MeshNode {
  readonly revocations = new Revocations()
  readonly callers: RevocationCallers
  readonly #mesh: Mesh
  readonly #teller: ReturnType<HeardRevocations['teller']>
  #syncedAt = 0
  news: CallerNews | undefined
  #ask = 0
  #sent = new Map<number, number>()
  #toNode: Heard[] = []
  #toCaller: News[] = []

  constructor(mesh: Mesh) {
    this.#mesh = mesh
    this.#teller = mesh.heard.teller()
    this.revocations.restart(named(1), 0)
    this.callers = new RevocationCallers({ clock: mesh.clock, revocations: this.revocations })
  }

  sync(): void {
    const { records, generation, clock } = this.#mesh
    if (this.revocations.epoch.generation !== named(generation)) this.revocations.restart(named(generation), 0)
    for (const { epoch, handler } of records) {
      if (epoch.generation !== named(generation) || epoch.sequence <= this.revocations.epoch.sequence) continue
      const target = handler === undefined ? ({ kind: 'all' } as const) : ({ kind: 'handler', handler } as const)
      this.revocations.apply({ sequence: epoch.sequence, target })
    }
    this.#syncedAt = clock.monotonic()
  }

  answer(): void {
    this.#mesh.answers.push(this.revocations.epoch)
  }

  connect(): void {
    if (this.news !== undefined) return
    const { revocations, callers } = this
    const told = {
      revocations,
      join: (name: string) => callers.join(name),
      outOfTouchMs: () => this.#mesh.clock.monotonic() - this.#syncedAt,
      maxAgeMs: 1_000,
      config: () => undefined,
      members: () => undefined,
      onChange: (listener: () => void) => revocations.onChange(listener),
    }
    this.news = new CallerNews(
      told,
      's',
      () => 0,
      () => this.#push(),
    )
    this.ask()
  }

  #push(): void {
    const news = this.news?.changes()
    if (news !== undefined) this.#toCaller.push(news)
  }

  ask(): void {
    if (this.news === undefined) return
    this.#sent.set(++this.#ask, this.#mesh.clock.monotonic())
    this.#toNode.push({ ask: this.#ask, ...this.#teller.heard() })
  }

  hear(): void {
    const heard = this.#toNode.shift()
    if (heard !== undefined && this.news !== undefined) this.#toCaller.push(this.news.answer(heard))
  }

  deliver(): void {
    const news = this.#toCaller.shift()
    if (news !== undefined && this.#teller.take(news, this.#sent.get(news.ask))) this.ask()
  }

  /** All that is on its way arrives. */
  pump(): void {
    this.sync()
    for (let rounds = 0; rounds < 4; rounds++) {
      while (this.#toNode.length > 0) this.hear()
      while (this.#toCaller.length > 0) this.deliver()
    }
  }

  cut(): void {
    this.news?.end()
    this.news = undefined
    this.#toNode = []
    this.#toCaller = []
    this.#sent.clear()
    this.#teller.lost()
  }
}

describe('a caller of nodes, whatever is late', () => {
  it('gives nothing that is revoked once everybody has confirmed, nor when it is sure to know all', async () => {
    const node = fc.nat({ max: 2 })
    const steps = ['sync', 'answer', 'connect', 'ask', 'hear', 'deliver', 'cut'] as const
    const step = fc.oneof(
      { weight: 20, arbitrary: fc.tuple(fc.constantFrom(...steps.slice(0, 6)), node) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('cut' as const), node) },
      { weight: 6, arbitrary: fc.tuple(fc.constant('pump' as const), node) },
      { weight: 3, arbitrary: fc.tuple(fc.constant('pass' as const), fc.nat({ max: 900 })) },
      { weight: 2, arbitrary: fc.tuple(fc.constant('revoke' as const), fc.constant(0)) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('anew' as const), fc.constant(0)) },
    )
    let obeyed = 0
    let allowed = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 150, size: 'max' }), async (all) => {
        const mesh = new Mesh(3)
        for (const each of mesh.nodes) each.connect()
        for (const [name, value] of all) {
          if (name === 'pass') await mesh.clock.advance(value)
          else if (name === 'revoke') mesh.revoke()
          else if (name === 'anew') mesh.beginAnew()
          else mesh.nodes[value]?.[name]()
          mesh.noteObeyed()
          mesh.judge()
        }
        obeyed += mesh.obeyed.length
        allowed += mesh.answers.filter((epoch) => mesh.heard.allows(epoch, ['h0'], NOTHING)).length
      }),
      { numRuns: 500 },
    )
    // It was about something.
    expect(obeyed).toBeGreaterThan(20)
    expect(allowed).toBeGreaterThan(100)
  })
})
