// Which requests may be let through by what was told of nodes, as sidecars read it.

import { stepOf } from '../../../src/cache/read-step.ts'
import type { AskedQuestion } from '../../../src/kernel/answer-shape.ts'
import { IntermixError } from '../../../src/kernel/errors.ts'
import type { AttributeBag } from '../../../src/kernel/attribute-bag.ts'
import { AnswerBatches, type ToldAnswer } from '../../../src/wire/batch/answer-batch.ts'
import type { Listener } from './hostile-cluster.ts'

interface Told {
  readonly to: AttributeBag
  readonly told: ToldAnswer
}

/** A request went on after a message that a sidecar would not have read: what that said of requests is not known. */
export class ReadByNobody extends Error {}

export class Allowed implements Listener {
  readonly #bags: (check: Buffer) => AttributeBag | undefined
  /** By id: what was asked, and over which streams. */
  readonly #asked = new Map<number, { readonly bag: AttributeBag; readonly streams: Set<number> }>()
  readonly #readers = new Map<number, AnswerBatches>()
  readonly #allows: Told[] = []
  /** Why a sidecar would have ended a stream. */
  #unread: Error | undefined

  /** @param bags the request of a check; `undefined` for one that is nobody's */
  constructor(bags: (check: Buffer) => AttributeBag | undefined) {
    this.#bags = bags
  }

  /** Ids that were asked lately. */
  get ids(): readonly number[] {
    return [...this.#asked.keys()].slice(-6)
  }

  asked(stream: number, id: number, check: Buffer): void {
    const bag = this.#bags(check)
    const known = this.#asked.get(id)
    if (known !== undefined) known.streams.add(stream)
    else if (bag !== undefined) this.#asked.set(id, { bag, streams: new Set([stream]) })
  }

  delivered(stream: number, message: Uint8Array): void {
    let reader = this.#readers.get(stream)
    if (reader === undefined) {
      reader = new AnswerBatches()
      this.#readers.set(stream, reader)
    }
    try {
      reader.read(message, {
        answered: (id, told) => {
          const asked = this.#asked.get(id)
          if (told.answer.status.code === 0 && asked?.streams.has(stream)) this.#allows.push({ to: asked.bag, told })
        },
        failed: () => undefined,
        leaving: () => undefined,
        news: () => undefined,
      })
    } catch (caught) {
      if (!(caught instanceof IntermixError)) throw caught
      this.#unread = caught
    }
  }

  over(stream: number): void {
    this.#readers.delete(stream)
  }

  /** @throws ReadByNobody */
  expectNoneUnread(): void {
    if (this.#unread !== undefined) throw new ReadByNobody(this.#unread.message)
  }

  /** Whether somebody has let the request through, or one that has its answer. */
  has(bag: AttributeBag): boolean {
    return this.#allows.some(({ to, told }) => to === bag || isShared(told, to, bag))
  }
}

function isShared({ shape, answer }: ToldAnswer, to: AttributeBag, by: AttributeBag): boolean {
  if (shape === undefined || answer.validForMs <= 0 || answer.validUses <= 0) return false
  return [...shape.choosing, ...shape.reads].every((asked) => isAlike(asked, to, by))
}

function isAlike({ question, outcome }: AskedQuestion, to: AttributeBag, by: AttributeBag): boolean {
  const step = stepOf(question)
  if (step === undefined) return false
  const [one, other] = [step.answer(to), step.answer(by)]
  return one.outcome === outcome && other.outcome === outcome && one.value === other.value
}
