import { beforeEach, describe, expect, it } from 'vitest'
import { HeardRevocations } from '../../../src/client/nodes/heard-revocations.ts'
import { MapBag } from '../../../src/kernel/attribute-bag.ts'
import { FakeClock } from '../../helpers/clock.ts'

const GENERATION = 'mesh/1@1'
const MAX_AGE_MS = 30_000

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
    epoch: { generation: GENERATION, sequence },
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
    expect(heard.allows({ generation: GENERATION, sequence: 3 }, [], MapBag.of({}))).toBe(true)
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
