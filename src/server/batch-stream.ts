// The front door for our own sidecars (gRPC): intermix.v1.Batches, checks in batches over one stream. The protocol is told in
// docs/batch-stream.md.

import type { Vocabulary } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import {
  BATCH_MESSAGES_TOTAL,
  BATCH_PAUSES_TOTAL,
  BATCH_STREAMS,
  BATCH_STREAMS_ENDED_TOTAL,
  BATCH_WORDS_BYTES,
} from '../kernel/metrics/doors.ts'
import type { Counter, Gauge } from '../kernel/ports.ts'
import { DEFAULT_LIMITS } from '../kernel/request-limits.ts'
import type { CheckOptions, CheckOutcome, QuotaService } from '../kernel/services.ts'
import { Code } from '../kernel/status.ts'
import { NOT_JUDGED } from '../kernel/verdict.ts'
import { AnswerBatchWriter } from '../wire/batch/answer-batch-writer.ts'
import { CheckBatches, type ReadCheck } from '../wire/batch/check-batch.ts'
import { type Admission, type DoorAdmission, TARGET_MS } from './admission.ts'
import { CallerNews, type NodeNews } from './caller-news.ts'
import { MAX_TIMEOUT_MS } from './deadline.ts'
import type { DoorDependencies } from './door-dependencies.ts'
import { createDoorMetrics, type DoorMetrics } from './door-metrics.ts'
import { failureOf } from './failed-calls.ts'
import { callerError, createFailureLog } from './failure-log.ts'
import { refusalsOf } from './grpc-gate.ts'
import { GrpcFailure, type GrpcService, type GrpcStream, type GrpcStreamHandler } from './grpc-service.ts'
import { refusalAnswer } from '../kernel/refusal-answer.ts'
import { createRefusals } from './refusals.ts'

const NAME = 'intermix.v1.Batches'
const DOOR = 'batch'
/** Checks of one stream that may wait for their answer before it is not read on. */
const MAX_WAITING = 4_096
/** Answers are sent when they are so many bytes, also while more of the same batch are to come. */
const FULL_BYTES = 64 * 1_024
/**
 * A turn of the loop reads checks of a stream for so long, in ms; the rest of them wait for the next turn. A turn of one large
 * batch alone has to be short for the admission, or it would take that for a queue of many calls.
 */
const SLICE_MS = TARGET_MS / 2
/** Memory for the lasting words of all streams together. */
const MAX_WORDS_MEMORY = 256 * 1_024 * 1_024

/** Of callers that keep answers. */
const KEEPING = { keepsAnswer: true, shape: true } as const

const NO_VOCABULARY: Vocabulary = new Map()
const NO_GRANTS: CheckOutcome['quotas'] = new Map()
const REFUSALS = refusalsOf('check', 'check')

interface BatchDependencies extends DoorDependencies {
  readonly admission: Pick<Admission, 'door' | 'checksPerSecond'>
  readonly quotas: QuotaService
  readonly news?: NodeNews | undefined
  readonly maxWordsMemory?: number
}

/** What all streams share. */
interface Common {
  readonly given: BatchDependencies
  readonly door: DoorAdmission
  readonly metrics: DoorMetrics
  readonly messages: Counter
  readonly pauses: Counter
  /** The words of a stream have grown, or shrunk, by so many bytes of memory. */
  readonly wordsGrown: (bytes: number) => void
  readonly refused: ReturnType<typeof createRefusals>
  readonly logFailure: (caught: unknown, message: string) => void
}

/**
 * The Batches service. What a check is denied, and why one could not be judged, is said in its answer; a stream fails only
 * where its messages cannot be read.
 */
export function batchService(given: BatchDependencies): GrpcService {
  const { admission, meter, maxWordsMemory = MAX_WORDS_MEMORY } = given
  const open = new Set<BatchStream>()
  const wordsGauge = meter.gauge(BATCH_WORDS_BYTES)()
  const ended = meter.counter(BATCH_STREAMS_ENDED_TOTAL)()
  let wordsMemory = 0
  const wordsGrown = (bytes: number) => {
    wordsMemory += bytes
    wordsGauge.set(wordsMemory)
    if (bytes <= 0 || wordsMemory <= maxWordsMemory) return
    const [first, ...others] = open
    if (first === undefined) return
    ended.add()
    others.reduce((most, stream) => (stream.memory > most.memory ? stream : most), first).endForMemory()
  }
  const common: Common = {
    given,
    door: admission.door(DOOR, 'check'),
    metrics: createDoorMetrics({ ...given, door: DOOR }),
    messages: meter.counter(BATCH_MESSAGES_TOTAL)(),
    pauses: meter.counter(BATCH_PAUSES_TOTAL)(),
    wordsGrown,
    refused: createRefusals({ ...given, door: DOOR }),
    logFailure: createFailureLog(given),
  }
  const streams: Gauge = meter.gauge(BATCH_STREAMS)()
  let isLeaving = false
  return {
    name: NAME,
    methods: [
      {
        kind: 'stream',
        path: `/${NAME}/Check`,
        open(stream) {
          const handler = new BatchStream(common, stream, () => {
            open.delete(handler)
            streams.set(open.size)
          })
          open.add(handler)
          streams.set(open.size)
          if (isLeaving) handler.leave()
          return handler
        },
      },
    ],
    retire() {
      isLeaving = true
      for (const stream of open) stream.leave()
    },
    drain() {
      for (const stream of open) stream.halfClosed()
    },
  }
}

class BatchStream implements GrpcStreamHandler {
  readonly #common: Common
  readonly #stream: GrpcStream
  readonly #onEnd: () => void
  readonly #batches: CheckBatches
  readonly #writer = new AnswerBatchWriter()
  /** Messages that wait until the caller reads. */
  readonly #ready: Buffer[] = []
  /** Checks that wait for their answer. */
  #waiting = 0
  /** The caller reads slower than we write. */
  #isBlocked = false
  #isPaused = false
  #isClosing = false
  #isOver = false
  /** What its words took of memory when it was last looked. */
  #memory = 0
  /** Messages that came while others were read. */
  readonly #unread: Uint8Array[] = []
  /** `goOn` is to be called in the next turn. */
  #isBooked = false
  /** Of a caller that has a name. */
  #news: CallerNews | undefined
  #hasNews = false
  /** Why nothing can be judged now. */
  #notReady: IntermixError | undefined

  constructor(common: Common, stream: GrpcStream, onEnd: () => void) {
    this.#common = common
    this.#stream = stream
    this.#onEnd = onEnd
    this.#batches = new CheckBatches(common.given.limits ?? DEFAULT_LIMITS)
  }

  message(bytes: Uint8Array): void {
    if (this.#isOver || this.#isClosing) return
    this.#common.messages.add()
    const isNext = !this.#hasMore
    this.#unread.push(bytes)
    if (isNext) this.#goOn()
    else this.#holdBack()
  }

  /** Answers what was read, and ends then. */
  halfClosed(): void {
    this.#isClosing = true
    this.#endNews()
    this.#endWhenDone()
  }

  closed(): void {
    this.#end()
  }

  drained(): void {
    this.#isBlocked = false
    this.#flush()
    this.#goOn()
  }

  /** Tells the caller that this node goes. */
  leave(): void {
    this.#writer.leave()
    this.#flush()
  }

  /** Reads on, sends what is answered, and ends where that is all. */
  readonly #goOn = (): void => {
    this.#isBooked = false
    if (this.#isOver) return
    try {
      this.#readSlice()
    } catch (caught) {
      return this.#fail(caught)
    }
    this.#tellNews()
    this.#flush()
    this.#weighWords()
    this.#holdBack()
    this.#endWhenDone()
    if (this.#hasMore && !this.#isFull) this.#book()
  }

  /** What its words take of memory, roughly, in bytes. */
  get memory(): number {
    return this.#memory
  }

  /** Gives up what its words take: the caller begins another stream. What waits for an answer it asks again. */
  endForMemory(): void {
    this.#stream.end(
      new GrpcFailure(Code.RESOURCE_EXHAUSTED, 'the words of all streams take too much memory: begin anew'),
    )
    this.#end()
  }

  #weighWords(): void {
    const before = this.#memory
    this.#memory = this.#batches.memory + this.#writer.memory
    if (this.#memory !== before) this.#common.wordsGrown(this.#memory - before)
  }

  #book(): void {
    if (this.#isBooked || this.#isOver) return
    this.#isBooked = true
    this.#common.given.clock.turn(this.#goOn)
  }

  /** Whether there are checks that came and were not read. */
  get #hasMore(): boolean {
    return this.#batches.isReading || this.#unread.length > 0
  }

  get #isFull(): boolean {
    return this.#isBlocked || this.#waiting >= MAX_WAITING
  }

  #readSlice(): void {
    const { clock } = this.#common.given
    const vocabulary = this.#vocabulary()
    let now = clock.monotonic()
    const until = now + SLICE_MS
    while (now < until && !this.#isFull) {
      const read = this.#batches.next(vocabulary)
      if (read !== undefined) {
        now = clock.monotonic()
        this.#take(read, now)
        continue
      }
      this.#hear()
      const message = this.#unread.shift()
      if (message === undefined) return
      this.#batches.begin(message)
      // There are messages without any check.
      now = clock.monotonic()
    }
  }

  /** The one that checks are read by; without one they fail, and the stream goes on: who tells the config may be heard later. */
  #vocabulary(): Vocabulary {
    this.#notReady = undefined
    try {
      return this.#common.given.check.vocabulary()
    } catch (caught) {
      this.#notReady = IntermixError.from(caught)
      return NO_VOCABULARY
    }
  }

  /** Takes what a message said beside its checks. */
  #hear(): void {
    const { caller } = this.#batches
    const { news, admission } = this.#common.given
    if (caller === undefined || news === undefined || this.#isClosing) return
    const load = () => Math.round(admission.checksPerSecond())
    const tell = () => {
      this.#hasNews = true
      this.#book()
    }
    this.#news ??= new CallerNews(news, caller, load, tell)
    const heard = this.#batches.takeHeard()
    if (heard !== undefined) this.#writer.tell(this.#news.answer(heard))
  }

  /** What has changed is told once in a turn. */
  #tellNews(): void {
    if (!this.#hasNews || this.#isBlocked || this.#isOver) return
    this.#hasNews = false
    const news = this.#news?.changes()
    if (news !== undefined) this.#writer.tell(news)
  }

  #endNews(): void {
    this.#news?.end()
    this.#news = undefined
  }

  #take(read: ReadCheck, startedAt: number): void {
    const { given, door, metrics } = this.#common
    const { defaultTimeoutMs } = given
    const timeoutMs = read.timeoutMs === 0 ? defaultTimeoutMs : Math.min(read.timeoutMs, MAX_TIMEOUT_MS)
    const refusal = door.admit(timeoutMs, undefined, startedAt)
    if (refusal !== undefined) {
      this.#writer.addFailure(read.id, REFUSALS[refusal])
      return
    }
    let outcome: CheckOutcome | Promise<CheckOutcome>
    try {
      const problem = this.#notReady ?? read.problem
      if (problem !== undefined) throw problem
      outcome = this.#ask(read, timeoutMs, startedAt)
    } catch (caught) {
      door.end()
      return this.#answerFailure(read.id, caught, startedAt)
    }
    if (outcome instanceof Promise) {
      this.#waiting++
      void this.#answerLater(read.id, outcome, startedAt)
      return
    }
    door.end()
    metrics.finished(outcome.answer.status.code, startedAt, outcome.answeredAt)
    this.#add(read.id, outcome)
  }

  /** Callers bound what they take in one message. */
  #add(id: number, outcome: Parameters<AnswerBatchWriter['add']>[1]): void {
    this.#writer.add(id, outcome)
    if (this.#writer.size >= FULL_BYTES) this.#flush()
  }

  #ask({ bag, demands }: ReadCheck, timeoutMs: number, startedAt: number): CheckOutcome | Promise<CheckOutcome> {
    const { check, quotas, news } = this.#common.given
    const asked: CheckOptions = { timeoutMs, startedAt, references: false }
    const options = this.#batches.keepsAnswers ? { ...asked, ...KEEPING } : asked
    if (demands === undefined) return check.check(bag, options)
    const { quotas: named, deduplicationId, charging, uses, quotasOnly, paidUnder } = demands
    // Other rules would take back what they have never charged. Before nodes that have different ones it is another one for each request.
    const current = news?.isRelayed === true ? undefined : news?.config()?.id
    if (uses !== undefined && uses < 0 && paidUnder !== undefined && current !== undefined && paidUnder !== current)
      return { answer: NOT_JUDGED, quotas: NO_GRANTS }
    const identified = deduplicationId === undefined ? options : { ...options, deduplicationId }
    if (quotasOnly === true && named !== undefined)
      return quotas.charge(bag, named, identified).then((granted) => ({ answer: NOT_JUDGED, quotas: granted }))
    return check.check(bag, {
      ...identified,
      ...(named === undefined ? {} : { quotas: named }),
      ...(charging === undefined ? {} : { charging }),
      ...(uses === undefined ? {} : { uses }),
      paidUnder,
    })
  }

  async #answerLater(id: number, pending: Promise<CheckOutcome>, startedAt: number): Promise<void> {
    const { door, metrics } = this.#common
    try {
      const outcome = await pending
      metrics.finished(outcome.answer.status.code, startedAt, outcome.answeredAt)
      if (!this.#isOver) this.#add(id, outcome)
    } catch (caught) {
      this.#answerFailure(id, caught, startedAt)
    }
    door.end()
    this.#waiting--
    // What is answered in one turn of the loop goes out together.
    this.#book()
  }

  #answerFailure(id: number, caught: unknown, startedAt: number): void {
    const { metrics, refused, logFailure } = this.#common
    const error = callerError(caught)
    refused(error, this.#stream.peer)
    if (error.code === 'INTERNAL' || error.code === 'INVALID_ATTRIBUTE') logFailure(caught, 'a check of a batch failed')
    metrics.finished(error.status.code, startedAt)
    if (this.#isOver) return
    const refusal = refusalAnswer(error)
    if (refusal === undefined) this.#writer.addFailure(id, error.status)
    else this.#add(id, { answer: refusal })
  }

  #flush(): void {
    // What a caller that does not read is answered meanwhile is cut, too.
    if (this.#isBlocked && this.#writer.size >= FULL_BYTES) this.#ready.push(this.#writer.take())
    while (!this.#isOver && !this.#isBlocked && this.#hasToSay)
      this.#isBlocked = !this.#stream.write(this.#ready.shift() ?? this.#writer.take())
  }

  get #hasToSay(): boolean {
    return this.#ready.length > 0 || this.#writer.size > 0
  }

  /** Flow control does the rest: the caller cannot send more than the window holds. */
  #holdBack(): void {
    const isBusy = this.#waiting >= (this.#isPaused ? MAX_WAITING / 2 : MAX_WAITING)
    const isFull = this.#isBlocked || isBusy || this.#unread.length > 0
    if (isFull === this.#isPaused || this.#isOver) return
    this.#isPaused = isFull
    if (isFull) {
      this.#common.pauses.add()
      this.#stream.pause()
    } else this.#stream.resume()
  }

  #endWhenDone(): void {
    if (!this.#isClosing || this.#isOver || this.#hasMore || this.#waiting > 0 || this.#isBlocked) return
    this.#flush()
    if (this.#hasToSay) return
    this.#stream.end()
    this.#end()
  }

  #fail(caught: unknown): void {
    const error = callerError(caught)
    this.#common.refused(error, this.#stream.peer)
    if (error.code === 'INTERNAL') this.#common.logFailure(caught, 'a batch could not be read')
    this.#flush()
    if (this.#isOver) return
    this.#stream.end(failureOf(error))
    this.#end()
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#endNews()
    this.#onEnd()
    this.#common.wordsGrown(-this.#memory)
  }
}
