// The news of one stream: asked for again and again as long as it is open. Who does not answer is dead, whatever its
// connection says.

import type { Clock } from '../../kernel/ports.ts'
import type { CacheSample } from '../../wire/batch/cache-sample.ts'
import type { Heard, News } from '../../wire/batch/news.ts'

/** Who asks for news, and what becomes of them. */
export interface NewsTaker {
  /** The name under which nodes know the caller. */
  readonly name: string
  /** What was heard of revocations. */
  heard(): Omit<Heard, 'ask' | 'sample'>
  /** What its cache would find at other sizes. */
  sample?(): CacheSample | undefined
  /**
   * @param sentAt when they were asked for, on the monotonic clock; `undefined` where the node tells by itself
   * @returns whether to confirm what they brought at once
   */
  take(news: News, sentAt: number | undefined): boolean
  /** The stream has ended. */
  lost(): void
}

export interface StreamNewsOptions {
  readonly clock: Clock
  readonly taker: NewsTaker
  readonly send: (heard: Heard) => void
  readonly onDead: () => void
}

export const ASK_EVERY_MS = 500
/** Without an answer for so long a node is dead that has spoken before. */
const DEAD_MS = 2_000
/** Questions that may wait for their answer before nothing is confirmed at once: a node that only tells gets no more of them. */
const MAX_ASKED = 64
/** A node that has just started is to know soon. */
const FIRST_SAMPLE_MS = 10_000
const SAMPLE_EVERY_MS = 60_000

interface Asked {
  readonly ask: number
  readonly sentAt: number
  /** On the clock that stands while this process does. */
  readonly attentiveAt: number
}

export class StreamNews {
  readonly #options: StreamNewsOptions
  /** Those that have no answer yet, in their order. */
  #asked: Asked[] = []
  #ask = 0
  #sampleAt: number
  /** Something came that was not confirmed. */
  #isOwing = false
  /** A node that many have come to at once says its first word late: whether to wait for that is not decided here. */
  #hasSpoken = false
  #cancel = () => {}
  #isOver = false

  constructor(options: StreamNewsOptions) {
    this.#options = options
    this.#sampleAt = options.clock.monotonic() + FIRST_SAMPLE_MS
  }

  /** Asks, and again in a while: to be called when the node can hear. */
  start(): void {
    if (this.#isOver) return
    this.#askNow()
    this.#wait()
  }

  take(news: News): void {
    this.#hasSpoken = true
    const at = this.#asked.findIndex(({ ask }) => ask === news.ask)
    const sentAt = at < 0 ? undefined : this.#asked[at]?.sentAt
    // What was asked before is answered with it: the node has said all that it knows.
    if (at >= 0) this.#asked = this.#asked.slice(at + 1)
    if (this.#options.taker.take(news, sentAt)) this.#isOwing = true
    if (this.#isOwing && this.#asked.length < MAX_ASKED) this.#askNow()
  }

  /** There is something to confirm beside what the news bring. */
  confirm(): void {
    if (!this.#hasSpoken) return
    if (this.#asked.length < MAX_ASKED) this.#askNow()
    else this.#isOwing = true
  }

  stop(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancel()
    this.#options.taker.lost()
  }

  #wait(): void {
    const { clock } = this.#options
    // What has arrived is read first: this process may have stood still.
    this.#cancel = clock.after(ASK_EVERY_MS, () => {
      this.#cancel = clock.turn(() => {
        if (this.#isDead()) return this.#options.onDead()
        // A node that is behind would only have more to do.
        if (this.#asked.length === 0) this.#askNow()
        this.#wait()
      })
    })
  }

  #isDead(): boolean {
    const [first] = this.#asked
    return this.#hasSpoken && first !== undefined && this.#options.clock.attentive() - first.attentiveAt >= DEAD_MS
  }

  #askNow(): void {
    const { clock, taker, send } = this.#options
    if (this.#isOver) return
    this.#isOwing = false
    this.#ask = (this.#ask % 0xffff_fffe) + 1
    this.#asked.push({ ask: this.#ask, sentAt: clock.monotonic(), attentiveAt: clock.attentive() })
    const sample = this.#sampleNow()
    const heard = { ...taker.heard(), ask: this.#ask }
    send(sample === undefined ? heard : { ...heard, sample })
  }

  /** Now and then one. */
  #sampleNow(): CacheSample | undefined {
    const { clock, taker } = this.#options
    const now = clock.monotonic()
    if (now < this.#sampleAt) return undefined
    this.#sampleAt = now + SAMPLE_EVERY_MS
    return taker.sample?.()
  }
}
