// The streams to nodes: one that is asked, and those that were left and have answers to come. Envoy chooses the node of each.

import { Bytes } from '../bytes/bytes'
import { Buffer, getBuffer, LogLevel, Status } from '../host/abi'
import { monotonic, random64 } from '../host/clock'
import { writeCheck } from '../node/check-writer'
import { NodeStream } from '../node/node-stream'
import { Settable } from '../node/settable'
import { News, Sink, ToldAnswer } from '../node/told'
import { Touch } from '../node/touch'
import { Request } from '../request/request'
import { Writer } from '../wire/writer'
import { STREAMS_LOST } from '../shared/counters'
import { report } from '../shared/log'
import { Pending } from './pending'
import { Questions } from './questions'
import { MAX_USES } from './use-rates'

/** News are asked for so often; without an answer for so long a node is dead. */
const ASK_EVERY_MS: f64 = 500
const DEAD_MS: f64 = 2_000
/** A message of a node has at most so many bytes. */
const MAX_MESSAGE = 4 * 1024 * 1024
/**
 * A stream that says nothing for this part of a request's time is asked whether it is there; after as long again another one is asked as
 * well.
 */
const SILENCE: f64 = 0.25
/** A stream that ends sooner has been no success, whatever came of it. */
const STEADY_MS: f64 = 1_000
/** Who sends what cannot be read would do so again: so many failures stand for it. */
const UNREADABLE: i32 = 4
const MAX_BACKOFF_MS: f64 = 1_000
/** Streams that were left at one time. */
const MAX_LEFT = 4
/** Longer between two ticks, and this thread did not listen. */
const INATTENTIVE_MS: f64 = 100

const cell = memory.data(8, 8)
const writer = new Writer()

/** Who has asked. */
export abstract class Asker {
  abstract answered(told: ToldAnswer): void
  /** No node can be asked. */
  abstract failed(pending: Pending, now: f64): void
}

/** What is read of a stream. */
class Told extends Sink {
  constructor(
    private readonly nodes: Nodes,
    private readonly asker: Asker,
    private readonly over: NodeStream,
  ) {
    super()
  }

  answered(told: ToldAnswer): void {
    if (this.nodes.questions.isAsked(told.id, this.over)) this.asker.answered(told)
  }

  news(news: News): void {
    this.nodes.hear(news, this.over)
  }

  leaving(): void {
    this.nodes.leave(this.over)
  }
}

export class Nodes {
  private stream: NodeStream | null = null
  private left: Array<NodeStream> = []
  private nextNews: f64 = 0
  private failures: i32 = 0
  private retryAt: f64 = 0

  /**
   * @param set names and values that the operator has set, in turns
   * @param timeoutMs of a request
   */
  constructor(
    private readonly cluster: Bytes,
    private readonly caller: Bytes,
    private readonly set: Array<Bytes>,
    private readonly timeoutMs: f64,
    private readonly settable: Settable,
    private readonly touch: Touch,
    readonly questions: Questions,
  ) {}

  get isOpen(): bool {
    return this.stream !== null
  }

  /** Opens a stream where none is open. @returns whether there is one, or soon may be */
  connect(now: f64): bool {
    if (this.stream !== null) return true
    if (now < this.retryAt) return false
    const stream = new NodeStream(this.settable)
    if (!stream.open(this.cluster, this.caller, now)) {
      this.backOff(now)
      return false
    }
    this.stream = stream
    this.ask(stream, now)
    return true
  }

  private ask(stream: NodeStream, now: f64): void {
    this.nextNews = now + ASK_EVERY_MS
    stream.hear(this.touch.generation, this.touch.sequence, now)
  }

  private backOff(now: f64): void {
    // The first time another node may be there at once.
    const wait = this.failures === 0 ? 0 : min(MAX_BACKOFF_MS, 25 * Math.pow(2, this.failures))
    this.failures++
    this.retryAt = now + wait * (0.5 + <f64>(random64() & 0xffff) / 0x2_0000)
  }

  send(pending: Pending, now: f64): void {
    const stream = this.stream
    const before = pending.over
    pending.over = stream
    if (stream === null) return
    if (!pending.asked.includes(stream)) pending.asked.push(stream)
    // Whom it was asked first may answer it still: the life of an answer counts from the first time.
    if (before === null || !before.isOpen) pending.askedAt = now
    const timeoutMs = <u32>max(1, pending.deadline - now)
    writer.reset()
    writeCheck(writer, pending.id, timeoutMs, pending.uses, pending.request, this.set, null)
    stream.send(writer)
  }

  /** Gives back uses of an answer; that it is heard is not waited for. */
  giveBack(uses: i32, request: Request, paidUnder: Bytes): void {
    const stream = this.stream
    if (stream === null) return
    writer.reset()
    writeCheck(writer, this.questions.nextId(), 0, -min(uses, MAX_USES), request, this.set, paidUnder)
    stream.send(writer)
  }

  /** A message of a stream has come. */
  received(token: u32, size: i32, asker: Asker): void {
    const stream = this.streamOf(token)
    if (stream === null) return
    const isTaken = size <= MAX_MESSAGE && getBuffer(Buffer.GRPC_RECEIVE, 0, size, cell, cell + 4) === Status.OK
    const isRead = isTaken && stream.batches.read(load<usize>(cell), load<i32>(cell + 4), new Told(this, asker, stream))
    const now = monotonic()
    stream.heardAt = now
    stream.probedAt = 0
    if (stream === this.stream && now - stream.openedAt >= STEADY_MS) this.failures = 0
    if (isRead) return
    report(LogLevel.WARN, 'a node has sent what cannot be read: its stream is ended')
    this.failures = max(this.failures, UNREADABLE)
    stream.cancel()
    this.lost(stream, asker)
  }

  closed(token: u32, asker: Asker): void {
    const stream = this.streamOf(token)
    if (stream === null) return
    stream.isOpen = false
    this.lost(stream, asker)
  }

  private streamOf(token: u32): NodeStream | null {
    const stream = this.stream
    if (stream !== null && stream.isOf(token)) return stream
    for (let i = 0; i < this.left.length; i++) if (this.left[i].isOf(token)) return this.left[i]
    return null
  }

  /** A stream has ended: what it did not answer is asked over another one. */
  private lost(stream: NodeStream, asker: Asker): void {
    const now = monotonic()
    if (this.stream === stream) {
      STREAMS_LOST.add()
      this.stream = null
      this.backOff(now)
    }
    const at = this.left.indexOf(stream)
    if (at >= 0) this.left.splice(at, 1)
    const isBack = this.connect(now)
    const all = this.questions.all()
    for (let i = 0; i < all.length; i++) {
      if (all[i].over !== stream) continue
      if (isBack) this.send(all[i], now)
      else if (this.questions.take(all[i].id) !== null) asker.failed(all[i], now)
    }
  }

  /** The node goes: from now on another one is asked. */
  leave(stream: NodeStream): void {
    if (this.stream !== stream) return
    const now = monotonic()
    this.stream = null
    this.setAside(stream)
    // Where all nodes go, each stream begins with this: they are not opened one upon the other.
    if (now - stream.openedAt < STEADY_MS) this.backOff(now)
    this.connect(now)
  }

  hear(news: News, over: NodeStream): void {
    // A node that goes may be behind the one that is asked now.
    if (over !== this.stream) return
    const sentAt = over.answered(news)
    if (news.generation !== null) over.told = news.generation
    if (this.touch.take(news, sentAt)) over.hear(this.touch.generation, this.touch.sequence, monotonic())
  }

  /** Time passes. @param passed since it did so last, in ms */
  ticked(now: f64, passed: f64, asker: Asker): void {
    this.connect(now)
    const stream = this.stream
    if (stream === null) return
    // Who did not listen cannot say that nobody spoke.
    if (passed > INATTENTIVE_MS) stream.forgive(passed)
    if (now - stream.owesSince >= DEAD_MS) {
      stream.cancel()
      this.lost(stream, asker)
    } else if (passed <= INATTENTIVE_MS && this.isSilent(stream, now)) this.askAnother(stream, now)
    else if (now >= this.nextNews) this.ask(stream, now)
  }

  /** Asks over a further stream what one has not answered, which may answer it all the same. */
  private askAnother(stream: NodeStream, now: f64): void {
    this.stream = null
    if (!this.connect(now)) {
      this.stream = stream
      return
    }
    this.setAside(stream)
    const all = this.questions.all()
    for (let i = 0; i < all.length; i++) if (all[i].over === stream) this.send(all[i], now)
  }

  private setAside(stream: NodeStream): void {
    stream.leave()
    this.left.push(stream)
    if (this.left.length > MAX_LEFT) this.left.shift().cancel()
  }

  /**
   * Whether a stream says nothing at all while requests wait for it: first it is asked whether it is there, for the node may wait for
   * a backend.
   */
  private isSilent(stream: NodeStream, now: f64): bool {
    let since = Infinity
    const all = this.questions.all()
    for (let i = 0; i < all.length; i++) if (all[i].over === stream) since = min(since, all[i].askedAt)
    const patience = SILENCE * this.timeoutMs
    if (now - max(since, stream.heardAt) < patience) return false
    if (stream.probedAt !== 0) return now - stream.probedAt >= patience
    stream.probedAt = now
    this.ask(stream, now)
    return false
  }

  /** Nothing more is asked. */
  close(): void {
    const stream = this.stream
    if (stream !== null) stream.leave()
  }
}
