import { beforeEach, describe, expect, it } from 'vitest'
import { ASK_EVERY_MS, StreamNews } from '../../../src/client/nodes/stream-news.ts'
import type { Heard, News } from '../../../src/wire/batch/news.ts'
import { FakeClock } from '../../helpers/clock.ts'

describe('the news of a stream', () => {
  let clock: FakeClock
  let sent: Heard[]
  let taken: (number | undefined)[]
  let dead: number
  let lost: number
  let isNew: boolean
  let news: StreamNews

  const told = (ask: number): News => ({
    ask,
    epoch: undefined,
    revocations: [],
    outOfTouchMs: 0,
    maxAgeMs: 0,
    load: 0,
  })

  beforeEach(() => {
    clock = new FakeClock()
    sent = []
    taken = []
    dead = 0
    lost = 0
    isNew = false
    const taker = {
      name: 's',
      heard: () => ({ epoch: { generation: 'g', sequence: 1 } }),
      take: (_: News, sentAt: number | undefined) => {
        taken.push(sentAt)
        return isNew
      },
      lost: () => lost++,
    }
    news = new StreamNews({ clock, taker, send: (heard) => sent.push(heard), onDead: () => dead++ })
    news.start()
  })

  it('are asked for again and again, and taken as of when they were asked for', async () => {
    await clock.advance(100)
    news.take(told(1))
    news.take(told(1))
    news.take(told(0))
    await clock.advance(400)
    news.take(told(2))
    await clock.advance(ASK_EVERY_MS)
    expect(sent.map(({ ask }) => ask)).toEqual([1, 2, 3])
    expect(sent[0]?.epoch).toEqual({ generation: 'g', sequence: 1 })
    // What was answered, or asked before that, says nothing new of when.
    news.take(told(1))
    news.take(told(3))
    expect(taken).toEqual([0, undefined, undefined, ASK_EVERY_MS, undefined, 2 * ASK_EVERY_MS])
  })

  it('are not asked for again by who waits for them: the node is behind already', async () => {
    await clock.advance(3 * ASK_EVERY_MS)
    expect(sent.length).toBe(1)
    news.take(told(1))
    await clock.advance(3 * ASK_EVERY_MS)
    expect(sent.length).toBe(2)
  })

  it('are answered by the latest question that is answered', () => {
    isNew = true
    news.take(told(0))
    news.take(told(0))
    isNew = false
    news.take(told(2))
    news.take(told(1))
    news.take(told(3))
    expect(taken).toEqual([undefined, undefined, 0, undefined, 0])
  })

  it('are confirmed at once where they brought something', () => {
    isNew = true
    news.take(told(0))
    expect(sent.map(({ ask }) => ask)).toEqual([1, 2])
  })

  it('are not confirmed one by one to a node that tells much and answers nothing', async () => {
    isNew = true
    for (let i = 0; i < 100_000; i++) news.take(told(0))
    expect(sent.length).toBeLessThanOrEqual(64)
    isNew = false
    // What was held back is confirmed with the first answer.
    const before = sent.length
    news.take(told(before))
    expect(sent.length).toBe(before + 1)
    news.take(told(before + 1))
    expect(sent.length).toBe(before + 1)
  })

  it('are missed for two seconds before the node is taken for dead', async () => {
    news.take(told(1))
    await clock.advance(ASK_EVERY_MS + 1_999)
    expect(dead).toBe(0)
    await clock.advance(1)
    expect(dead).toBe(1)
    news.stop()
    expect([lost, clock.pending]).toEqual([1, 0])
  })

  it('are waited for as long as the stream may take where the node has not said a word', async () => {
    await clock.advance(15_000)
    expect(dead).toBe(0)
    news.take(told(1))
    await clock.advance(ASK_EVERY_MS + 2_000)
    expect(dead).toBe(1)
  })

  it('are not missed while this process stood still', async () => {
    news.take(told(1))
    await clock.advance(ASK_EVERY_MS)
    clock.stall(10_000)
    await clock.advance(ASK_EVERY_MS)
    expect(dead).toBe(0)
    for (const { ask } of sent) news.take(told(ask))
    await clock.advance(10 * ASK_EVERY_MS)
    expect(dead).toBe(1)
  })

  it('end with the stream', async () => {
    news.stop()
    news.stop()
    await clock.advance(10_000)
    expect([sent.length, dead, lost, clock.pending]).toEqual([1, 0, 1, 0])
  })
})
