// The filter: answers requests from answers that a node gave before where one holds, else asks.

import { Bytes, bytesOf, EMPTY } from '../bytes/bytes'
import { hashOf } from '../bytes/hash'
import { AnswerCache, Judge } from '../cache/answer-cache'
import { Chosen } from '../cache/chosen'
import { HeaderOperation, KeptAnswer } from '../cache/kept-answer'
import {
  Action,
  Buffer,
  continueStream,
  getBuffer,
  log,
  LogLevel,
  setEffectiveContext,
  Status,
  Stream,
} from '../host/abi'
import { monotonic, random64 } from '../host/clock'
import { writeCheck } from '../node/check-writer'
import { NodeStream } from '../node/node-stream'
import { Settable } from '../node/settable'
import { News, Shape, Sink, Tier, ToldAnswer } from '../node/told'
import { Touch } from '../node/touch'
import { Property } from '../request/properties'
import { Request } from '../request/request'
import { Question } from '../shape/question'
import { Writer } from '../wire/writer'
import { changeRequest, changeResponse, deny, leaveWord, refuse } from './apply'
import {
  ASKED,
  DENIED,
  ENTRIES,
  ENTRY_BYTES,
  EVICTED,
  JOINED,
  KEPT,
  NONE,
  NOT_COMPARABLE,
  NOT_KEPT_LIFE,
  NOT_KEPT_MISMATCH,
  NOT_KEPT_SHAPE,
  NOT_KEPT_SIZE,
  NOT_KEPT_UNREAD,
  REFRESHED,
  STALE,
  STREAMS_LOST,
  tellCounters,
} from './counters'
import { Code } from './http-status'
import { PaidUses } from './paid-uses'
import { Pending } from './pending'
import { FailPolicy, Settings } from './settings'

/** News are asked for so often; without an answer for so long a node is dead. */
const ASK_EVERY_MS: f64 = 500
const DEAD_MS: f64 = 2_000
const TICK_MS: f64 = 20
/** Memory for questions that wait, in bytes; further requests are not judged. */
const MAX_PENDING_BYTES = 24 * 1024 * 1024
/** A message of a node has at most so many bytes. */
const MAX_MESSAGE = 4 * 1024 * 1024
/** A stream that says nothing for this part of a request's time is asked whether it is there; and left after as long again. */
const SILENCE: f64 = 0.25
/** Of the life that is left when an answer comes, the part after which another one is asked for. */
const REFRESH_AFTER: f64 = 0.8
const BACKGROUND_TIMEOUT_MS: f64 = 1_000
/** What is paid for lasts about so long. */
const HORIZON_MS: f64 = 100
const MAX_USES: f64 = 1_000
const MAX_BACKOFF_MS: f64 = 1_000

const TIER_KEPT = bytesOf('filter')
const TIER_STALE = bytesOf('stale')
const TIER_NONE = bytesOf('none')
const TIERS: StaticArray<Bytes> = [bytesOf('local'), bytesOf('mesh'), bytesOf('backend'), TIER_STALE]
const AUTHORIZATION = bytesOf('authorization')
const COOKIE = bytesOf('cookie')
const NO_NODE = bytesOf('no node has judged the request')

const cell = memory.data(8, 8)
const writer = new Writer()
/** The request of the callback. */
const current = new Request()

/** Whether a kept answer may be given, and which one was found that may not. */
class Keeper extends Judge {
  now: f64 = 0
  isStale: bool = false
  maxAgeMs: f64 = 0
  /** One that has ended, or whose uses have. */
  ended: KeptAnswer | null = null

  constructor(private readonly touch: Touch) {
    super()
  }

  allows(kept: KeptAnswer, chosen: Chosen, request: Request): bool {
    const isOver = this.isStale ? this.now >= kept.staleUntil : this.now >= kept.freshUntil
    if (isOver || kept.usesLeft <= 0) {
      this.ended = kept
      return false
    }
    return this.now - kept.createdAt <= this.maxAgeMs && this.touch.allows(kept, chosen, request)
  }
}

/** The questions of an answer that requests answer differently; how this request answers them is checked beside. */
class Told extends Sink {
  constructor(
    private readonly plugin: Plugin,
    private readonly over: NodeStream,
  ) {
    super()
  }

  answered(told: ToldAnswer): void {
    this.plugin.answered(told)
  }

  news(news: News): void {
    this.plugin.hear(news, this.over)
  }

  leaving(): void {
    this.plugin.leave(this.over)
  }
}

export class Plugin {
  private settings: Settings = new Settings()
  private settable: Settable = new Settable([])
  private touch: Touch = new Touch(this.settable)
  private keeper: Keeper = new Keeper(this.touch)
  private cache: AnswerCache = new AnswerCache(1, 1)
  private caller: Bytes = EMPTY
  private isReady: bool = false
  private stream: NodeStream | null = null
  /** Those that were left and have answers to come. */
  private left: Array<NodeStream> = []
  private readonly pending: Map<u32, Pending> = new Map()
  private pendingBytes: i32 = 0
  /** By the stream that waits. */
  private readonly waiting: Map<u32, Pending> = new Map()
  /** What is to be done to responses, by stream. */
  private readonly responses: Map<u32, Array<HeaderOperation>> = new Map()
  private readonly paid: PaidUses = new PaidUses()
  private nextId: u32 = 0
  private lastTick: f64 = 0
  private nextNews: f64 = 0
  private failures: i32 = 0
  private retryAt: f64 = 0
  private refreshes: f64 = 0
  /** Requests have come: the main thread of Envoy has a module, too, which gets none and need not be connected. */
  private isUsed: bool = false

  constructor(private readonly context: u32) {}

  /** Begins with settings. @returns whether they are right; if not, it is logged why */
  configure(settings: Settings): bool {
    if (settings.problems.length > 0) {
      for (let i = 0; i < settings.problems.length; i++) report(LogLevel.ERROR, settings.problems[i])
      return false
    }
    this.settings = settings
    this.settable = new Settable(settings.names)
    this.touch = new Touch(this.settable)
    this.keeper = new Keeper(this.touch)
    this.cache = new AnswerCache(settings.maxEntries, settings.maxBytes)
    this.caller = bytesOf(settings.name + '-' + (random64() % 0x1_0000_0000_0000).toString(36))
    this.isReady = true
    this.lastTick = monotonic()
    return true
  }

  /** The request headers of a stream have come. @returns what becomes of it */
  requested(context: u32): i32 {
    if (!this.isReady) return this.notJudged(false)
    const now = monotonic()
    this.isUsed = true
    current.load(this.settings.source)
    if (this.settings.source === Property.DIRECT_ADDRESS && !current.hasProperty(Property.DIRECT_ADDRESS)) {
      this.warnOfSource()
      return this.notJudged(false)
    }
    const kept = this.find(current, now, false)
    if (kept !== null) {
      KEPT.add()
      return this.give(context, kept, now, false)
    }
    if (!current.isComparable) NOT_COMPARABLE.add()
    return this.ask(context, now)
  }

  private hasWarned: bool = false

  private warnOfSource(): void {
    if (this.hasWarned) return
    this.hasWarned = true
    report(
      LogLevel.ERROR,
      'source_address is "direct", and no filter before this one has stored intermix.source_address: requests are not judged',
    )
  }

  private find(request: Request, now: f64, isStale: bool): KeptAnswer | null {
    const config = this.touch.config
    if (config === null) return null
    const keeper = this.keeper
    keeper.now = now
    keeper.isStale = isStale
    keeper.maxAgeMs = this.touch.maxAgeMs(now)
    keeper.ended = null
    return this.cache.find(config, request, keeper)
  }

  /** Gives a kept answer to the stream of the callback. */
  private give(context: u32, kept: KeptAnswer, now: f64, isPaused: bool): i32 {
    kept.usesLeft--
    kept.used++
    if (now >= kept.refreshAt || (kept.isPaid && kept.usesLeft <= usesOf(kept, now) / 2)) this.refresh(kept, now)
    const answer = kept.answer
    const isStale = now >= kept.freshUntil
    const validForMs = isStale ? 0 : kept.freshUntil - now
    if (answer.code !== Code.OK || isStale || this.settings.tellsAll)
      leaveWord(answer.code, answer.message, isStale ? TIER_STALE : TIER_KEPT, now - kept.createdAt, validForMs)
    if (answer.code !== Code.OK) {
      DENIED.add()
      deny(answer, validForMs)
      return Action.PAUSE
    }
    return this.allow(context, answer.requestHeaders, answer.responseHeaders, isPaused)
  }

  private allow(
    context: u32,
    request: Array<HeaderOperation> | null,
    response: Array<HeaderOperation> | null,
    isPaused: bool,
  ): i32 {
    if (request !== null && request.length > 0) changeRequest(request)
    if (response !== null && response.length > 0) this.responses.set(context, response)
    if (isPaused) continueStream(Stream.REQUEST)
    return Action.CONTINUE
  }

  /** Nobody judges the request of the callback. */
  private notJudged(isPaused: bool): i32 {
    NONE.add()
    const settings = this.settings
    leaveWord(Code.UNAVAILABLE, NO_NODE, TIER_NONE, 0, 0)
    if (this.isReady && settings.failPolicy === FailPolicy.OPEN) {
      if (isPaused) continueStream(Stream.REQUEST)
      return Action.CONTINUE
    }
    refuse(settings.statusOnError)
    return Action.PAUSE
  }

  /** What is left where no node answers: an answer beyond its life, within its bound, or the fail policy. */
  private withoutNode(context: u32, request: Request, now: f64, isPaused: bool): i32 {
    const stale = this.find(request, now, true)
    if (stale === null) return this.notJudged(isPaused)
    STALE.add()
    return this.give(context, stale, now, isPaused)
  }

  private ask(context: u32, now: f64): i32 {
    const ended = this.keeper.ended
    const likeness = likenessOf(current)
    const asked = current.isComparable && (ended === null || !ended.isPaid) ? this.alike(likeness) : null
    if (asked !== null) {
      JOINED.add()
      asked.followers.push(context)
      this.waiting.set(context, asked)
      return Action.PAUSE
    }
    if (this.pendingBytes > MAX_PENDING_BYTES || !this.connect(now))
      return this.withoutNode(context, current, now, false)
    const uses = ended !== null && ended.isPaid ? <i32>usesOf(ended, now) : 1
    const pending = this.add(current.kept(), likeness, now + <f64>this.settings.timeoutMs, uses)
    pending.leader = context
    this.waiting.set(context, pending)
    this.send(pending, now)
    return Action.PAUSE
  }

  private alike(likeness: u32): Pending | null {
    const all = this.pending.values()
    for (let i = 0; i < all.length; i++) {
      if (all[i].likeness === likeness && all[i].isAwaited) return all[i]
    }
    return null
  }

  private add(request: Request, likeness: u32, deadline: f64, uses: i32): Pending {
    do this.nextId++
    while (this.pending.has(this.nextId))
    const pending = new Pending(this.nextId, request, likeness, deadline, uses)
    this.pending.set(pending.id, pending)
    this.pendingBytes += pending.bytes
    return pending
  }

  private send(pending: Pending, now: f64): void {
    const stream = this.stream
    pending.over = stream
    if (stream === null) return
    pending.askedAt = now
    writer.reset()
    const timeoutMs = <u32>max(1, pending.deadline - now)
    writeCheck(writer, pending.id, timeoutMs, pending.uses, pending.request, this.settings.set)
    stream.send(writer)
  }

  /** Asks for another answer before this one ends, or before what it has paid for is used up. */
  private refresh(kept: KeptAnswer, now: f64): void {
    if (kept.refreshAt === Infinity || this.stream === null || this.pendingBytes > MAX_PENDING_BYTES / 2) return
    if (!kept.isPaid) {
      if (this.refreshes < 1) {
        kept.refreshAt = (now + kept.freshUntil) / 2
        return
      }
      this.refreshes--
    }
    kept.refreshAt = Infinity
    REFRESHED.add()
    const uses = kept.isPaid ? <i32>usesOf(kept, now) : 1
    this.send(this.add(current.kept(), 0, now + BACKGROUND_TIMEOUT_MS, uses), now)
  }

  /** Opens a stream where none is open. @returns whether there is one, or soon may be */
  private connect(now: f64): bool {
    if (this.stream !== null) return true
    if (now < this.retryAt) return false
    const stream = new NodeStream(this.settable)
    if (!stream.open(this.settings.cluster, this.caller)) {
      this.backOff(now)
      return false
    }
    this.stream = stream
    stream.hear(this.touch.generation, this.touch.sequence, now)
    this.nextNews = now + ASK_EVERY_MS
    return true
  }

  private backOff(now: f64): void {
    // The first time another node may be there at once.
    const wait = this.failures === 0 ? 0 : min(MAX_BACKOFF_MS, 25 * Math.pow(2, this.failures))
    this.failures++
    this.retryAt = now + wait * (0.5 + <f64>(random64() & 0xffff) / 0x2_0000)
  }

  /** A message of a stream has come. */
  received(token: u32, size: i32): void {
    const stream = this.streamOf(token)
    if (stream === null) return
    const isTaken = size <= MAX_MESSAGE && getBuffer(Buffer.GRPC_RECEIVE, 0, size, cell, cell + 4) === Status.OK
    const isRead = isTaken && stream.batches.read(load<usize>(cell), load<i32>(cell + 4), new Told(this, stream))
    stream.heardAt = monotonic()
    stream.probedAt = 0
    if (stream === this.stream) this.failures = 0
    if (isRead) return
    report(LogLevel.WARN, 'a node has sent what cannot be read: its stream is ended')
    stream.cancel()
    this.lost(stream)
  }

  closed(token: u32): void {
    const stream = this.streamOf(token)
    if (stream === null) return
    stream.isOpen = false
    this.lost(stream)
  }

  private streamOf(token: u32): NodeStream | null {
    const stream = this.stream
    if (stream !== null && stream.isOf(token)) return stream
    for (let i = 0; i < this.left.length; i++) if (this.left[i].isOf(token)) return this.left[i]
    return null
  }

  /** A stream has ended: what it did not answer is asked over another one. */
  private lost(stream: NodeStream): void {
    const now = monotonic()
    if (this.stream === stream) {
      STREAMS_LOST.add()
      this.stream = null
      this.backOff(now)
    }
    const at = this.left.indexOf(stream)
    if (at >= 0) this.left.splice(at, 1)
    const isBack = this.connect(now)
    const all = this.pending.values()
    for (let i = 0; i < all.length; i++) {
      if (all[i].over !== stream) continue
      if (isBack) this.send(all[i], now)
      else this.fail(all[i], now)
    }
  }

  /** The node goes: from now on another one is asked. */
  leave(stream: NodeStream): void {
    if (this.stream !== stream) return
    this.stream = null
    stream.leave()
    this.left.push(stream)
    this.connect(monotonic())
  }

  /**
   * Asks another node what one does not answer that says nothing at all: first it is asked whether it is there, for it may wait for a
   * backend.
   */
  private watch(stream: NodeStream, now: f64): void {
    let since = Infinity
    const all = this.pending.values()
    for (let i = 0; i < all.length; i++) if (all[i].over === stream) since = min(since, all[i].askedAt)
    const patience = SILENCE * <f64>this.settings.timeoutMs
    if (now - max(since, stream.heardAt) < patience) return
    if (stream.probedAt === 0) {
      stream.probedAt = now
      stream.hear(this.touch.generation, this.touch.sequence, now)
    } else if (now - stream.probedAt >= patience) {
      stream.cancel()
      this.lost(stream)
    }
  }

  hear(news: News, over: NodeStream): void {
    // A node that goes may be behind the one that is asked now.
    if (over !== this.stream) return
    const now = monotonic()
    const sentAt = over.answered(news)
    if (news.generation !== null) over.told = news.generation
    if (this.touch.take(news, sentAt)) over.hear(this.touch.generation, this.touch.sequence, now)
  }

  answered(told: ToldAnswer): void {
    const pending = this.take(told.id)
    if (pending === null) return
    const now = monotonic()
    if (told.hasFailed) return this.failed(pending, now)
    const kept = this.keep(told, pending, now)
    if (pending.leader === 0) {
      // What was paid for this check, which nobody has made.
      if (kept !== null && kept.isPaid) kept.usesLeft++
    } else if (this.enter(pending.leader)) {
      ASKED.add()
      this.tell(pending.leader, told, now - pending.askedAt)
    }
    const followers = pending.followers
    for (let i = 0; i < followers.length; i++) this.again(followers[i], now)
    setEffectiveContext(this.context)
  }

  /** Gives a node's answer to the stream that it was asked for. */
  private tell(context: u32, told: ToldAnswer, waitedMs: f64): void {
    const answer = told.answer
    const validForMs = told.shape === null ? 0 : max(0, told.validForMs - waitedMs)
    if (answer.code !== Code.OK || this.settings.tellsAll)
      leaveWord(
        answer.code,
        answer.message,
        TIERS[told.tier > Tier.STALE ? Tier.STALE : told.tier],
        told.ageMs + waitedMs,
        validForMs,
      )
    if (answer.code === Code.OK) this.allow(context, answer.requestHeaders, answer.responseHeaders, true)
    else {
      DENIED.add()
      deny(answer, max(0, told.validForMs - waitedMs))
    }
  }

  /** The request of a stream that has waited for the answer to another one. */
  private again(context: u32, now: f64): void {
    if (!this.enter(context)) return
    current.load(this.settings.source)
    const kept = this.find(current, now, false)
    if (kept !== null) {
      KEPT.add()
      this.give(context, kept, now, true)
      return
    }
    if (this.pendingBytes > MAX_PENDING_BYTES || !this.connect(now)) {
      this.withoutNode(context, current, now, true)
      return
    }
    const pending = this.add(current.kept(), 0, now + <f64>this.settings.timeoutMs, 1)
    pending.leader = context
    this.waiting.set(context, pending)
    this.send(pending, now)
  }

  /** Has the host act on a stream that waits. @returns whether it is there */
  private enter(context: u32): bool {
    this.waiting.delete(context)
    return setEffectiveContext(context) === Status.OK
  }

  /** Takes a question from those that wait. */
  private take(id: u32): Pending | null {
    if (!this.pending.has(id)) return null
    const pending = this.pending.get(id)
    this.pending.delete(id)
    this.pendingBytes -= pending.bytes
    return pending
  }

  private fail(pending: Pending, now: f64): void {
    if (this.take(pending.id) !== null) this.failed(pending, now)
  }

  private failed(pending: Pending, now: f64): void {
    if (pending.leader !== 0) this.giveUp(pending.leader, now)
    const followers = pending.followers
    for (let i = 0; i < followers.length; i++) this.giveUp(followers[i], now)
    setEffectiveContext(this.context)
  }

  private giveUp(context: u32, now: f64): void {
    if (!this.enter(context)) return
    current.load(this.settings.source)
    this.withoutNode(context, current, now, true)
  }

  private keep(told: ToldAnswer, pending: Pending, now: f64): KeptAnswer | null {
    const shape = told.shape
    const request = pending.request
    const freshUntil = pending.askedAt + told.validForMs
    if (!request.isComparable) return null
    if (shape === null) {
      NOT_KEPT_SHAPE.add()
      return null
    }
    if (freshUntil <= now || told.validUses <= 0) {
      NOT_KEPT_LIFE.add()
      return null
    }
    const choosing: Array<Question> | null = asked(shape.choosing, shape.choosingOutcomes, request)
    const reads: Array<Question> | null = choosing === null ? null : asked(shape.reads, shape.readOutcomes, request)
    if (choosing === null || reads === null) return null
    const kept = new KeptAnswer(told.answer)
    kept.generation = told.generation
    kept.sequence = told.sequence
    kept.createdAt = pending.askedAt - told.ageMs
    kept.freshUntil = freshUntil
    kept.staleUntil = freshUntil + told.staleForMs
    kept.usesLeft = told.validUses
    kept.isPaid = told.isPaid
    kept.ratedAt = now
    // Whether a quota has room again is for those to ask that pay for it.
    const isRefusal = told.answer.code === Code.RESOURCE_EXHAUSTED
    kept.refreshAt = isRefusal ? Infinity : now + (freshUntil - now) * REFRESH_AFTER
    if (!this.keepIn(shape, choosing, reads, request, kept)) {
      NOT_KEPT_SIZE.add()
      return null
    }
    if (kept.isPaid) this.paid.watch(kept, request, shape.config)
    return kept
  }

  private keepIn(
    shape: Shape,
    choosing: Array<Question>,
    reads: Array<Question>,
    request: Request,
    kept: KeptAnswer,
  ): bool {
    return this.cache.keep(shape.config, shape.scope, shape.handlers, shape.generated, choosing, reads, request, kept)
  }

  /** A stream is gone. */
  ended(context: u32): void {
    if (this.responses.size > 0) this.responses.delete(context)
    if (this.waiting.size === 0 || !this.waiting.has(context)) return
    this.waiting.get(context).forget(context)
    this.waiting.delete(context)
  }

  /** The headers of a response have come. */
  responded(context: u32): void {
    if (this.responses.size > 0 && this.responses.has(context)) changeResponse(this.responses.get(context))
  }

  ticked(): void {
    if (!this.isReady) return
    const now = monotonic()
    const passed = now - this.lastTick
    this.lastTick = now
    this.refreshes = min(
      <f64>this.settings.refreshesPerSecond,
      this.refreshes + (passed * <f64>this.settings.refreshesPerSecond) / 1000,
    )
    if (this.isUsed) this.connect(now)
    const stream = this.stream
    if (stream !== null) {
      // Who did not listen cannot say that nobody spoke.
      if (passed > 5 * TICK_MS) stream.forgive(passed)
      else if (this.pending.size > 0) this.watch(stream, now)
      if (now - stream.owesSince >= DEAD_MS) {
        stream.cancel()
        this.lost(stream)
      } else if (now >= this.nextNews) {
        this.nextNews = now + ASK_EVERY_MS
        stream.hear(this.touch.generation, this.touch.sequence, now)
      }
    }
    if (!this.paid.isEmpty) this.giveBack(now)
    const all = this.pending.values()
    for (let i = 0; i < all.length; i++) if (now >= all[i].deadline) this.fail(all[i], now)
    EVICTED.add(this.cache.evicted)
    this.cache.evicted = 0
    ENTRIES.tell(this.cache.size)
    ENTRY_BYTES.tell(this.cache.bytes)
    tellCounters()
  }

  /** Gives back what was paid for until then and not used; that it is heard is not waited for. */
  private giveBack(until: f64): void {
    const config = this.touch.config
    const stream = this.stream
    if (config === null || stream === null) return
    const ended = this.paid.ended(until, config)
    for (let i = 0; i < ended.length; i++) {
      const kept = ended[i].kept
      writer.reset()
      writeCheck(writer, ++this.nextId, 0, -kept.usesLeft, ended[i].request, this.settings.set)
      stream.send(writer)
      kept.usesLeft = 0
    }
  }

  /** The plugin goes: its streams end with it. */
  close(): void {
    this.giveBack(Infinity)
    const stream = this.stream
    if (stream !== null) stream.cancel()
    ENTRIES.tell(0)
    ENTRY_BYTES.tell(0)
  }
}

/** The questions that requests answer differently; `null` where this request does not answer as the node was answered. */
function asked(questions: Array<Question>, outcomes: Array<i32>, request: Request): Array<Question> | null {
  const found: Array<Question> = []
  for (let i = 0; i < questions.length; i++) {
    const question = questions[i]
    if (question.isFixed) continue
    if (question.isUnread) {
      NOT_KEPT_UNREAD.add()
      return null
    }
    if (!question.agrees(question.answer(request), outcomes[i])) {
      NOT_KEPT_MISMATCH.add()
      return null
    }
    found.push(question)
  }
  return found
}

/** Uses that the next moment needs, going by those since the answer came. */
function usesOf(kept: KeptAnswer, now: f64): f64 {
  const perMs = <f64>kept.used / max(10, now - kept.ratedAt)
  return max(1, min(MAX_USES, Math.ceil(perMs * HORIZON_MS)))
}

/** Requests of which this differs are mostly answered differently. */
function likenessOf(request: Request): u32 {
  let hash = hashOf(request.method, request.methodSize)
  hash = hash * 31 + hashOf(request.path, request.pathSize)
  hash = hash * 31 + hashOf(request.host, request.hostSize)
  hash = hash * 31 + ofHeader(request, AUTHORIZATION)
  hash = hash * 31 + ofHeader(request, COOKIE)
  return hash === 0 ? 1 : hash
}

function ofHeader(request: Request, name: Bytes): u32 {
  const line = request.headers.find(name)
  return line < 0 ? 0 : hashOf(request.headers.valueAt(line), request.headers.valueSize(line))
}

export function report(level: i32, text: string): void {
  const bytes = bytesOf('intermix: ' + text)
  log(level, bytes.dataStart, bytes.length)
}
