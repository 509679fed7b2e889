// One call of a program, coming or going: checked when it begins, reported when it is over.

import type { AttributeValue } from '../../kernel/value.ts'
import { type Direction, type HttpRequest, httpRequestBag } from '../../wire/http-request.ts'
import type { Guard, Judgement } from './guard.ts'

/** What is known of a call that is over, beside how it was answered. */
export interface Over {
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  readonly durationMs: number
  readonly judgement: Judgement | undefined
}

export interface DescribedCall {
  /** Asked once, when it is checked. What it throws refuses the call. */
  request(): HttpRequest
  readonly direction: Direction
}

export class GuardedCall<C> {
  readonly #guard: Guard<C>
  readonly #call: C
  readonly #described: DescribedCall
  readonly #startedAt: number
  readonly #began: number
  #request: HttpRequest | undefined
  #judgement: Judgement | undefined

  constructor(guard: Guard<C>, call: C, described: DescribedCall) {
    this.#guard = guard
    this.#call = call
    this.#described = described
    const { clock } = guard.options.client
    this.#startedAt = clock.now()
    this.#began = clock.monotonic()
  }

  /** What the check has said; `undefined` before it has. */
  get judgement(): Judgement | undefined {
    return this.#judgement
  }

  judge(): Judgement | Promise<Judgement> {
    const judgement = this.#guard.judge(this.#call, (set) => {
      this.#request ??= this.#described.request()
      return httpRequestBag(this.#request, this.#startedAt, set, this.#described.direction)
    })
    return judgement instanceof Promise ? judgement.then((is) => this.#judged(is)) : this.#judged(judgement)
  }

  /**
   * @param attributes of how it was answered; what the program sets wins over them
   * @param unread the request where it could not be read; without it such a call is not reported
   */
  report(attributes: (over: Over) => Map<string, AttributeValue | undefined>, unread?: HttpRequest): void {
    const request = this.#request ?? unread
    if (request === undefined) return
    this.#guard.report(this.#call, (set) => {
      const durationMs = this.#guard.options.client.clock.monotonic() - this.#began
      const all = attributes({ startedAt: this.#startedAt, durationMs, judgement: this.#judgement })
      for (const [name, value] of set ?? []) all.set(name, value)
      return httpRequestBag(request, this.#startedAt, all, this.#described.direction)
    })
  }

  #judged(judgement: Judgement): Judgement {
    this.#judgement = judgement
    return judgement
  }
}
