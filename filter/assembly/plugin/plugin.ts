// The filter: answers requests from answers that a node gave before where one holds, else asks.

import { Bytes, bytesOf, isBytes } from '../bytes/bytes'
import { AnswerCache } from '../cache/answer-cache'
import { Chosen } from '../cache/chosen'
import { HeaderOperation, KeptAnswer } from '../cache/kept-answer'
import { Action, continueStream, LogLevel, setEffectiveContext, Status, Stream } from '../host/abi'
import { monotonic, random64 } from '../host/clock'
import { Mark } from '../host/scratch'
import { Settable } from '../node/settable'
import { Tier, ToldAnswer } from '../node/told'
import { Touch } from '../node/touch'
import { Property } from '../request/properties'
import { Request } from '../request/request'
import { Question } from '../shape/question'
import { From } from '../telemetry/check-notes'
import { Reports } from '../telemetry/reports'
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
  NOT_KEPT_SIZE,
  REFRESHED,
  STALE,
  tellCounters,
} from '../shared/counters'
import { Code } from '../shared/http-status'
import { asked, Keeper, keptOf } from './keeper'
import { likenessOf } from './likeness'
import { report } from '../shared/log'
import { LoneRequests } from './lone-requests'
import { Asker, Nodes } from './nodes'
import { PaidUses } from './paid-uses'
import { Pending } from './pending'
import { Questions } from './questions'
import { FailPolicy, Settings } from './settings'
import { UseRates } from './use-rates'

const BACKGROUND_TIMEOUT_MS: f64 = 1_000

const TIER_KEPT = bytesOf('filter')
const TIER_STALE = bytesOf('stale')
const TIER_NONE = bytesOf('none')
const TIERS: StaticArray<Bytes> = [bytesOf('local'), bytesOf('mesh'), bytesOf('backend'), TIER_STALE]
const NO_NODE = bytesOf('no node has judged the request')

/** The request of the callback. */
const current = new Request()

export class Plugin extends Asker {
  private settings: Settings = new Settings()
  private touch: Touch = new Touch(new Settable([]))
  private keeper: Keeper = new Keeper(this.touch)
  private cache: AnswerCache = new AnswerCache(1, 1)
  private readonly questions: Questions = new Questions()
  /** `null` without settings. */
  private nodes: Nodes | null = null
  /** `null` where nodes are not told of requests. */
  private reports: Reports | null = null
  /** By the stream that waits. */
  private readonly waiting: Map<u32, Pending> = new Map()
  /** What is to be done to responses, by stream. */
  private readonly responses: Map<u32, Array<HeaderOperation>> = new Map()
  private readonly paid: PaidUses = new PaidUses()
  private readonly rates: UseRates = new UseRates()
  private readonly lone: LoneRequests = new LoneRequests()
  private lastTick: f64 = 0
  private refreshes: f64 = 0
  /** Requests have come: the main thread of Envoy has a module, too, which gets none and need not be connected. */
  private isUsed: bool = false
  private hasWarned: bool = false

  constructor(private readonly context: u32) {
    super()
  }

  /** Begins with settings. @returns whether they are right; if not, it is logged why */
  configure(settings: Settings): bool {
    if (settings.problems.length > 0) {
      for (let i = 0; i < settings.problems.length; i++) report(LogLevel.ERROR, settings.problems[i])
      return false
    }
    this.settings = settings
    const settable = new Settable(settings.names)
    const touch = new Touch(settable)
    this.touch = touch
    this.keeper = new Keeper(touch)
    this.cache = new AnswerCache(settings.maxEntries, settings.maxBytes)
    const caller = bytesOf(settings.name + '-' + (random64() % 0x1_0000_0000_0000).toString(36))
    const timeoutMs = <f64>settings.timeoutMs
    this.nodes = new Nodes(settings.cluster, caller, settings.set, timeoutMs, settable, touch, this.questions)
    const reported = settings.report
    if (reported !== null) this.reports = new Reports(reported, caller, settings.set)
    this.lastTick = monotonic()
    return true
  }

  /** The request headers of a stream have come. @returns what becomes of it */
  requested(context: u32): i32 {
    const nodes = this.nodes
    if (nodes === null) return this.notJudged(context, false)
    const now = monotonic()
    this.isUsed = true
    current.load(this.settings.source)
    const kept = this.find(now, false)
    if (kept !== null) {
      KEPT.add()
      return this.give(context, kept, now, false)
    }
    if (!this.knowsSource()) return this.notJudged(context, false)
    if (!current.isComparable) NOT_COMPARABLE.add()
    return this.ask(nodes, context, now)
  }

  /**
   * Whether a node can be told where the request of the callback comes from. It is read where a node is asked only, for that takes
   * time: no answer is kept of a request without it, so one that depends on it is not found either.
   */
  private knowsSource(): bool {
    if (this.settings.source !== Property.DIRECT_ADDRESS || current.hasProperty(Property.DIRECT_ADDRESS)) return true
    if (this.hasWarned) return false
    this.hasWarned = true
    report(
      LogLevel.ERROR,
      'source_address is "direct", and no filter before this one has stored intermix.source_address: requests are not judged',
    )
    return false
  }

  /** A kept answer for the request of the callback. */
  private find(now: f64, isStale: bool): KeptAnswer | null {
    const config = this.touch.config
    if (config === null) return null
    this.keeper.begin(now, isStale)
    return this.cache.find(config, current, this.keeper)
  }

  /** Gives a kept answer to the stream of the callback. */
  private give(context: u32, kept: KeptAnswer, now: f64, isPaused: bool): i32 {
    kept.usesLeft--
    const wanted = kept.isPaid ? this.rates.count(likenessOf(current), now) : 0
    if (now >= kept.refreshAt || kept.usesLeft < wanted / 2) this.refresh(kept, wanted, now)
    const answer = kept.answer
    const isStale = now >= kept.freshUntil || kept.usesLeft < 0
    const validForMs = isStale ? 0 : kept.freshUntil - now
    this.note(context, answer.code, From.CACHE, answer.message)
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

  /** Remembers for the record of a request what became of its check. */
  private note(context: u32, code: i32, from: i32, message: Bytes): void {
    const reports = this.reports
    if (reports !== null) reports.checks.add(context, code, from, message)
  }

  /** Nobody judges the request of the callback. */
  private notJudged(context: u32, isPaused: bool): i32 {
    NONE.add()
    this.note(context, Code.UNAVAILABLE, From.NOBODY, NO_NODE)
    const settings = this.settings
    leaveWord(Code.UNAVAILABLE, NO_NODE, TIER_NONE, 0, 0)
    if (this.nodes !== null && this.isOpen(settings.failPolicy)) {
      if (isPaused) continueStream(Stream.REQUEST)
      return Action.CONTINUE
    }
    refuse(settings.statusOnError)
    return Action.PAUSE
  }

  /** Whether the request of the callback may pass although nobody judges it. */
  private isOpen(policy: i32): bool {
    if (policy !== FailPolicy.RULES) return policy === FailPolicy.OPEN
    const config = this.touch.config
    const rules: Chosen | null = config === null ? null : this.cache.rulesFor(config, current)
    return rules !== null && rules.failsOpen
  }

  /** What is left where no node answers: an answer beyond its life, within its bound, or the fail policy. */
  private withoutNode(context: u32, now: f64, isPaused: bool): i32 {
    const stale = this.find(now, true)
    if (stale === null) return this.notJudged(context, isPaused)
    STALE.add()
    return this.give(context, stale, now, isPaused)
  }

  private ask(nodes: Nodes, context: u32, now: f64): i32 {
    const likeness = likenessOf(current)
    // Whoever waits for what is not shared, since it was paid for or is nobody else's, would have to ask all the same.
    const isShared = current.isComparable && !this.keeper.isPaidFor && !this.lone.has(likeness, now)
    const asked = isShared ? this.questions.alike(likeness) : null
    if (asked !== null) {
      JOINED.add()
      asked.followers.push(context)
      asked.deadlines.push(now + <f64>this.settings.timeoutMs)
      this.waiting.set(context, asked)
      return Action.PAUSE
    }
    if (this.questions.isFull || !nodes.connect(now)) return this.withoutNode(context, now, false)
    this.put(nodes, context, likeness, now + <f64>this.settings.timeoutMs, now)
    return Action.PAUSE
  }

  /** Asks a node about the request of the callback, whose stream waits. */
  private put(nodes: Nodes, context: u32, likeness: u32, deadline: f64, now: f64): void {
    const uses = this.rates.count(likeness, now)
    const pending = this.questions.add(current.kept(), likeness, deadline, uses)
    pending.leader = context
    this.waiting.set(context, pending)
    nodes.send(pending, now)
  }

  /** Asks for another answer before this one ends, or before what it has paid for is used up. */
  private refresh(kept: KeptAnswer, wanted: i32, now: f64): void {
    const nodes = this.nodes
    if (kept.refreshAt === Infinity || nodes === null || !nodes.isOpen || !this.questions.hasPlenty) return
    if (!this.knowsSource()) return
    if (!kept.isPaid) {
      if (this.refreshes < 1) {
        kept.refreshAt = (now + kept.freshUntil) / 2
        return
      }
      this.refreshes--
    }
    kept.refreshAt = Infinity
    REFRESHED.add()
    nodes.send(this.questions.add(current.kept(), 0, now + BACKGROUND_TIMEOUT_MS, max(1, wanted)), now)
  }

  received(token: u32, size: i32): void {
    const nodes = this.nodes
    const reports = this.reports
    if (reports !== null && reports.received(token)) return
    if (nodes !== null) nodes.received(token, size, this)
  }

  closed(token: u32, status: i32): void {
    const nodes = this.nodes
    const reports = this.reports
    if (reports !== null && reports.closed(token, status)) return
    if (nodes !== null) nodes.closed(token, this)
  }

  answered(told: ToldAnswer): void {
    const pending = this.questions.take(told.id)
    if (pending === null) return
    const now = monotonic()
    if (told.hasFailed) return this.failed(pending, now)
    const kept = this.keep(told, pending, now)
    if (pending.likeness !== 0) this.lone.learn(pending.likeness, kept !== null, now)
    if (told.isPaid) this.account(told, kept, pending)
    if (pending.leader !== 0 && this.enter(pending.leader)) {
      ASKED.add()
      this.tell(pending.leader, told, now - pending.askedAt)
    }
    const followers = pending.followers
    for (let i = 0; i < followers.length; i++) this.again(followers[i], pending.deadlines[i], now)
    setEffectiveContext(this.context)
  }

  /** What was paid for and nobody can use goes back; what was paid for a check that nobody has made is a use, too. */
  private account(told: ToldAnswer, kept: KeptAnswer | null, pending: Pending): void {
    const ofCheck = pending.leader === 0 ? 1 : 0
    if (kept !== null) {
      kept.usesLeft += ofCheck
      return
    }
    const nodes = this.nodes
    const config = this.touch.config
    const shape = told.shape
    const uses = told.validUses + ofCheck
    if (nodes === null || config === null || uses <= 0 || (shape !== null && !isBytes(shape.config, config))) return
    nodes.giveBack(uses, pending.request, config)
  }

  /** Gives a node's answer to the stream that it was asked for. */
  private tell(context: u32, told: ToldAnswer, waitedMs: f64): void {
    const answer = told.answer
    const validForMs = told.shape === null ? 0 : max(0, told.validForMs - waitedMs)
    this.note(context, answer.code, told.tier === Tier.BACKEND ? From.BACKEND : From.CACHE, answer.message)
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
  private again(context: u32, deadline: f64, now: f64): void {
    if (!this.enter(context)) return
    const mark = new Mark()
    current.load(this.settings.source)
    const kept = this.find(now, false)
    if (kept !== null) {
      KEPT.add()
      this.give(context, kept, now, true)
    } else {
      const nodes = this.nodes
      if (nodes === null || this.questions.isFull || !nodes.connect(now)) this.withoutNode(context, now, true)
      else this.put(nodes, context, likenessOf(current), deadline, now)
    }
    mark.release()
  }

  /** Has the host act on a stream that waits. @returns whether it is there */
  private enter(context: u32): bool {
    this.waiting.delete(context)
    return setEffectiveContext(context) === Status.OK
  }

  failed(pending: Pending, now: f64): void {
    if (pending.leader !== 0) this.giveUp(pending.leader, now)
    const followers = pending.followers
    for (let i = 0; i < followers.length; i++) this.giveUp(followers[i], now)
    setEffectiveContext(this.context)
  }

  private giveUp(context: u32, now: f64): void {
    if (!this.enter(context)) return
    const mark = new Mark()
    current.load(this.settings.source)
    this.withoutNode(context, now, true)
    mark.release()
  }

  private keep(told: ToldAnswer, pending: Pending, now: f64): KeptAnswer | null {
    const request = pending.request
    const shape = told.shape
    const kept = request.isComparable ? keptOf(told, pending.askedAt, now) : null
    if (kept === null || shape === null) return null
    const choosing: Array<Question> | null = asked(shape.choosing, shape.choosingOutcomes, request)
    const reads: Array<Question> | null = choosing === null ? null : asked(shape.reads, shape.readOutcomes, request)
    if (choosing === null || reads === null) return null
    const config = shape.config
    const failsOpen = told.failsOpen
    if (
      !this.cache.keep(config, shape.scope, shape.handlers, shape.generated, failsOpen, choosing, reads, request, kept)
    ) {
      NOT_KEPT_SIZE.add()
      return null
    }
    if (kept.isPaid) this.paid.watch(kept, request, config)
    return kept
  }

  /** A stream is gone. */
  ended(context: u32): void {
    const reports = this.reports
    if (reports !== null) reports.checks.delete(context)
    if (this.responses.size > 0) this.responses.delete(context)
    if (this.waiting.size === 0 || !this.waiting.has(context)) return
    this.waiting.get(context).forget(context)
    this.waiting.delete(context)
  }

  /** The headers of a response have come. */
  responded(context: u32): void {
    if (this.responses.size > 0 && this.responses.has(context)) changeResponse(this.responses.get(context))
  }

  /** A request is over. */
  logged(context: u32): void {
    const reports = this.reports
    if (reports !== null) reports.logged(context)
  }

  ticked(): void {
    const now = monotonic()
    const nodes = this.nodes
    const reports = this.reports
    if (nodes !== null) this.keepUp(nodes, now)
    if (reports !== null) reports.ticked(now)
    tellCounters()
  }

  /** Time passes: news are asked for, what waited for too long is given up, and what was paid for goes back. */
  private keepUp(nodes: Nodes, now: f64): void {
    const passed = now - this.lastTick
    this.lastTick = now
    const most = <f64>this.settings.refreshesPerSecond
    this.refreshes = min(most, this.refreshes + (passed * most) / 1000)
    if (this.isUsed) nodes.ticked(now, passed, this)
    if (!this.paid.isEmpty) this.giveBack(nodes, now)
    const all = this.questions.all()
    for (let i = 0; i < all.length; i++) {
      if (now >= all[i].deadline && this.questions.take(all[i].id) !== null) this.failed(all[i], now)
    }
    EVICTED.add(this.cache.evicted)
    this.cache.evicted = 0
    ENTRIES.tell(this.cache.size)
    ENTRY_BYTES.tell(this.cache.bytes)
  }

  /** Gives back what was paid for until then and not used. */
  private giveBack(nodes: Nodes, until: f64): void {
    const config = this.touch.config
    if (config === null || !nodes.isOpen) return
    const ended = this.paid.ended(until, config)
    for (let i = 0; i < ended.length; i++) {
      nodes.giveBack(ended[i].kept.usesLeft, ended[i].request, config)
      ended[i].kept.usesLeft = 0
    }
  }

  /** The plugin goes: its streams end with it. @returns whether it is done; if not, it says so itself when it is */
  close(): bool {
    const nodes = this.nodes
    const reports = this.reports
    if (nodes === null) return true
    this.giveBack(nodes, Infinity)
    nodes.close()
    this.nodes = null
    ENTRIES.tell(0)
    ENTRY_BYTES.tell(0)
    const isDone = reports === null || reports.close(monotonic())
    tellCounters()
    return isDone
  }
}
