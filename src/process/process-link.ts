// Questions and answers between the processes of a node, over the channel that Node gives a parent and its child.

import { within } from '../kernel/deadline.ts'
import { type ErrorCode, IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'

/** One end of a channel that carries data which can be copied. */
export interface Channel {
  /** What cannot be sent because the other side has gone is dropped. */
  send(message: object): void
  onMessage(listener: (message: unknown) => void): void
}

type Message =
  | { readonly intermix: 'ask'; readonly id: number; readonly name: string; readonly value: unknown }
  | { readonly intermix: 'tell'; readonly name: string; readonly value: unknown }
  | { readonly intermix: 'reply'; readonly id: number; readonly value: unknown }
  | { readonly intermix: 'failed'; readonly id: number; readonly code: ErrorCode; readonly message: string }

type Answer = (value: unknown) => unknown

export class ProcessLink {
  readonly #channel: Channel
  readonly #clock: Clock
  readonly #answers = new Map<string, Answer>()
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #asked = 0

  constructor(channel: Channel, clock: Clock) {
    this.#channel = channel
    this.#clock = clock
    channel.onMessage((message) => void this.#take(message as Message))
  }

  /** Answers what the other side asks or tells by this name; the returned function ends that. */
  answer(name: string, answer: Answer): () => void {
    this.#answers.set(name, answer)
    return () => {
      if (this.#answers.get(name) === answer) this.#answers.delete(name)
    }
  }

  /** Sends without waiting for anything. */
  tell(name: string, value?: unknown): void {
    this.#channel.send({ intermix: 'tell', name, value } satisfies Message)
  }

  /**
   * Asks the other side. Rejects with its IntermixError, with NOT_FOUND where it knows no such question, and with
   * DEADLINE_EXCEEDED after `timeoutMs`.
   */
  async ask(name: string, value: unknown, timeoutMs: number): Promise<unknown> {
    const id = ++this.#asked
    const reply = Promise.withResolvers<unknown>()
    this.#waiting.set(id, reply)
    this.#channel.send({ intermix: 'ask', id, name, value } satisfies Message)
    try {
      return await within(this.#clock, timeoutMs, reply.promise, () => {
        throw new IntermixError('DEADLINE_EXCEEDED', `no answer within ${timeoutMs} ms`)
      })
    } finally {
      this.#waiting.delete(id)
    }
  }

  async #take(message: Message): Promise<void> {
    switch (message.intermix) {
      case 'reply':
        return this.#waiting.get(message.id)?.resolve(message.value)
      case 'failed':
        return this.#waiting.get(message.id)?.reject(new IntermixError(message.code, message.message))
      case 'tell':
        return void this.#answers.get(message.name)?.(message.value)
      case 'ask':
        return this.#channel.send(await this.#replyTo(message))
      default:
      // Not ours: the channel carries what Node's cluster says, too.
    }
  }

  async #replyTo({ id, name, value }: { id: number; name: string; value: unknown }): Promise<Message> {
    try {
      const answer = this.#answers.get(name)
      if (answer === undefined) throw new IntermixError('NOT_FOUND', `nothing answers to ${name} here`)
      return { intermix: 'reply', id, value: await answer(value) }
    } catch (caught) {
      const { code, message } = IntermixError.from(caught)
      return { intermix: 'failed', id, code, message }
    }
  }
}
