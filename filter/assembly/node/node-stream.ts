// One batch stream to a node: which one it is Envoy chooses.

import { Bytes, bytesOf, isBytes } from '../bytes/bytes'
import { grpcCancel, grpcClose, grpcSend, grpcStream, Status } from '../host/abi'
import { Writer } from '../wire/writer'
import { AnswerBatches } from './answer-batches'
import { writeBegin, writeHeard } from './check-writer'
import { Settable } from './settable'
import { News } from './told'

const SERVICE = bytesOf('intermix.v1.Batches')
const METHOD = bytesOf('Check')
/** Questions for news that may wait for their answer: a node that only tells gets no more of them. */
const MAX_ASKED = 64
const cell = memory.data(4, 4)
const writer = new Writer()

export class NodeStream {
  private token: u32 = 0
  isOpen: bool = false
  openedAt: f64 = 0
  /** When something came of it last. */
  heardAt: f64 = 0
  /** When it was asked last whether it is there; 0 where something came since. */
  probedAt: f64 = 0
  readonly batches: AnswerBatches
  /** Questions for news that have no answer yet, and when they were sent. */
  private readonly asks: Array<u32> = []
  private readonly sentAt: Array<f64> = []
  private ask: u32 = 0
  /** The generation that the node has told last over it. */
  told: Bytes | null = null
  private hasAsked: bool = false

  constructor(settable: Settable) {
    this.batches = new AnswerBatches(settable)
  }

  /** @returns whether the stream was opened; whether anybody answers is another matter */
  open(cluster: Bytes, caller: Bytes, now: f64): bool {
    const status = grpcStream(
      cluster.dataStart,
      cluster.length,
      SERVICE.dataStart,
      SERVICE.length,
      METHOD.dataStart,
      METHOD.length,
      0,
      0,
      cell,
    )
    if (status !== Status.OK) return false
    this.token = load<u32>(cell)
    this.isOpen = true
    this.openedAt = now
    writer.reset()
    writeBegin(writer, caller)
    return this.send(writer)
  }

  isOf(token: u32): bool {
    return this.isOpen && this.token === token
  }

  send(message: Writer): bool {
    if (!this.isOpen) return false
    return grpcSend(this.token, message.from, message.size, 0) === Status.OK
  }

  /** Asks for news, and says what was heard: of the generation that this stream has told, or in its first word of any. */
  hear(generation: Bytes | null, sequence: f64, now: f64): void {
    if (this.asks.length >= MAX_ASKED) return
    const told = this.told
    const isKnown = generation !== null && (told === null ? !this.hasAsked : isBytes(told, generation))
    this.hasAsked = true
    this.ask++
    this.asks.push(this.ask)
    this.sentAt.push(now)
    writer.reset()
    writeHeard(writer, this.ask, isKnown ? generation : null, isKnown ? sequence : 0)
    this.send(writer)
  }

  /** When the question was sent that news answer; negative where they answer none. What was asked before is answered with it. */
  answered(news: News): f64 {
    const at = this.asks.indexOf(news.ask)
    if (at < 0) return -1
    const sentAt = this.sentAt[at]
    this.asks.splice(0, at + 1)
    this.sentAt.splice(0, at + 1)
    return sentAt
  }

  /** Since when it owes an answer; infinite where it owes none. */
  get owesSince(): f64 {
    return this.sentAt.length === 0 ? Infinity : this.sentAt[0]
  }

  /** Time in which nobody listened does not count. */
  forgive(ms: f64): void {
    for (let i = 0; i < this.sentAt.length; i++) this.sentAt[i] += ms
  }

  /** Says that nothing more is asked over it. */
  leave(): void {
    if (this.isOpen) grpcClose(this.token)
  }

  /** Ends it at once. */
  cancel(): void {
    if (this.isOpen) grpcCancel(this.token)
    this.isOpen = false
  }
}
