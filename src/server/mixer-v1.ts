// The front door for Istio's proxies: istio.mixer.v1.Mixer. Attributes stay bytes until a rule reads them.

import { EMPTY_BAG } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import { MIXER_IGNORED_ATTRIBUTES_TOTAL, MIXER_UNSHAREABLE_ANSWERS_TOTAL } from '../kernel/metrics/doors.ts'
import { RefusedRequest } from '../kernel/refused-request.ts'
import { DEFAULT_LIMITS, type RequestLimits } from '../kernel/request-limits.ts'
import { type CheckOptions, type CheckOutcome, DEFAULT_REPORT_ACKS, type ReportOutcome } from '../kernel/services.ts'
import { Code } from '../kernel/status.ts'
import { type CheckRequest, decodeCheckRequest } from '../wire/mixer/check-request.ts'
import { type Asked, encodeCheckResponse } from '../wire/mixer/check-response.ts'
import { type Anomaly, CompressedAttributesBag } from '../wire/mixer/compressed-attributes-bag.ts'
import { GLOBAL_WORDS } from '../wire/mixer/dictionary.ts'
import { readMixerReport } from '../wire/mixer/report-request.ts'
import { MIXER_REPORT } from '../wire/report-formats.ts'
import { timeoutOf } from './deadline.ts'
import type { DoorDependencies } from './door-dependencies.ts'
import { createDoorMetrics } from './door-metrics.ts'
import { createFailureLog } from './failure-log.ts'
import { type GrpcCall, GrpcFailure, type GrpcReply, type GrpcService } from './grpc-service.ts'
import { refusalAnswer } from '../kernel/refusal-answer.ts'
import { createRefusals } from './refusals.ts'

const NAME = 'istio.mixer.v1.Mixer'
/** A status message travels in a header, so it names only the first problems. */
const MAX_PROBLEMS_NAMED = 10
const MAX_DETAILS = 2_048
/** A ReportResponse has no fields. */
const NOTHING = new Uint8Array(0)
/** Codes of ours that a caller can act on; every other failure of a check is INTERNAL, as Mixer had it. */
const KEPT_CODES: ReadonlySet<number> = new Set([
  Code.INVALID_ARGUMENT,
  Code.UNAVAILABLE,
  Code.DEADLINE_EXCEEDED,
  Code.CANCELLED,
])

/**
 * The Mixer service of Istio 1.4 over the check and report services. Failures as Mixer gave them: an unknown part of
 * the dictionary is INTERNAL, an overloaded or unready node UNAVAILABLE, wrong records of a report UNKNOWN after the
 * others were taken. Beyond Mixer, a call that is not a well-formed message fails with INVALID_ARGUMENT, and a request
 * that is refused for what it is (`RefusedRequest`, or by the check service) is denied with that status.
 */
export function mixerService(dependencies: DoorDependencies): GrpcService {
  const door = new MixerDoor(dependencies)
  return {
    name: NAME,
    methods: [
      {
        kind: 'unary',
        path: `/${NAME}/Check`,
        door: { name: 'mixer_check', priority: 'check' },
        answer: (request, call) => door.check(request, call),
      },
      {
        kind: 'unary',
        path: `/${NAME}/Report`,
        door: { name: 'mixer_report', priority: 'report' },
        answer: (request, call) => door.report(request, call),
      },
    ],
  }
}

class MixerDoor {
  readonly #given: DoorDependencies
  readonly #limits: RequestLimits
  readonly #logFailure: (caught: unknown, message: string) => void
  readonly #refused: ReturnType<typeof createRefusals>
  readonly #checks: ReturnType<typeof createDoorMetrics>
  readonly #reports: ReturnType<typeof createDoorMetrics>
  readonly #countAnomaly: (anomaly: Anomaly) => void
  readonly #unshareable: () => void

  constructor(dependencies: DoorDependencies) {
    const { meter, clock } = dependencies
    this.#given = dependencies
    this.#limits = dependencies.limits ?? DEFAULT_LIMITS
    this.#logFailure = createFailureLog(dependencies)
    this.#refused = createRefusals({ ...dependencies, door: 'mixer' })
    this.#checks = createDoorMetrics({ meter, clock, door: 'mixer_check' })
    this.#reports = createDoorMetrics({ meter, clock, door: 'mixer_report' })
    const anomalies = meter.counter(MIXER_IGNORED_ATTRIBUTES_TOTAL)
    for (const reason of MIXER_IGNORED_ATTRIBUTES_TOTAL.labels.reason) anomalies({ reason })
    this.#countAnomaly = (reason) => anomalies({ reason }).add()
    const unshareable = meter.counter(MIXER_UNSHAREABLE_ANSWERS_TOTAL)()
    this.#unshareable = () => unshareable.add()
  }

  check(bytes: Uint8Array, call: GrpcCall): GrpcReply | Promise<GrpcReply> {
    const { check, clock, defaultTimeoutMs } = this.#given
    const startedAt = clock.monotonic()
    let asked: Asked | undefined
    try {
      const timeoutMs = timeoutOf(call.deadline, clock, defaultTimeoutMs)
      if (timeoutMs === 0)
        throw new IntermixError('DEADLINE_EXCEEDED', 'the deadline has passed before the check began')
      const request = decodeCheckRequest(bytes)
      refuseUnknownWords(request.globalWordCount)
      const vocabulary = check.vocabulary()
      const { maxMapEntries, maxAttributeBytes } = this.#limits
      if (request.attributes.length > maxAttributeBytes) throw tooLarge(maxAttributeBytes)
      const options = { vocabulary, onAnomaly: this.#countAnomaly, maxMapEntries }
      const bag = CompressedAttributesBag.decodeStrictly(request.attributes, options)
      asked = { bag, vocabulary, globalWordCount: request.globalWordCount }
      const outcome = check.check(bag, checkOptionsOf(request, timeoutMs, startedAt))
      return outcome instanceof Promise
        ? this.#answerLater(outcome, asked, startedAt, call)
        : this.#answer(outcome, asked, startedAt)
    } catch (caught) {
      return this.#fail(caught, asked, startedAt, call)
    }
  }

  async #answerLater(
    pending: Promise<CheckOutcome>,
    asked: Asked,
    startedAt: number,
    call: GrpcCall,
  ): Promise<GrpcReply> {
    try {
      return this.#answer(await pending, asked, startedAt)
    } catch (caught) {
      return this.#fail(caught, asked, startedAt, call)
    }
  }

  #answer(outcome: CheckOutcome, asked: Asked, startedAt: number): GrpcReply {
    const { bytes, reusable } = encodeCheckResponse(outcome, asked)
    if (!reusable && outcome.answer.validForMs > 0 && outcome.answer.validUses > 0) this.#unshareable()
    this.#checks.finished(Code.OK, startedAt, outcome.answeredAt)
    return bytes
  }

  /** @param asked `undefined` where the check service was not asked */
  #fail(caught: unknown, asked: Asked | undefined, startedAt: number, call: GrpcCall): GrpcReply {
    const error = this.#failure(caught, call.peer)
    this.#checks.finished(error.code, startedAt)
    // As a failed call, it would meet the client's network fail policy.
    const refusal = caught instanceof RefusedRequest || asked !== undefined ? refusalAnswer(caught) : undefined
    return refusal === undefined
      ? error
      : encodeCheckResponse({ answer: refusal, quotas: new Map() }, NOTHING_ASKED).bytes
  }

  report(bytes: Uint8Array, call: GrpcCall): GrpcReply | Promise<GrpcReply> {
    const startedAt = this.#given.clock.monotonic()
    try {
      const { outcome, problems } = this.#accept(bytes)
      return outcome instanceof Promise
        ? outcome.then((refusal) => this.#answerReport(refusal, problems, startedAt, call))
        : this.#answerReport(outcome, problems, startedAt, call)
    } catch (caught) {
      return this.#answerReport(caught, [], startedAt, call)
    }
  }

  /** @param refusal why nothing was taken, if so */
  #answerReport(refusal: unknown, problems: readonly string[], startedAt: number, call: GrpcCall): GrpcReply {
    if (refusal !== undefined) {
      const error = this.#failure(refusal, call.peer)
      this.#reports.finished(error.code, startedAt)
      return error
    }
    const code = problems.length === 0 ? Code.OK : Code.UNKNOWN
    this.#reports.finished(code, startedAt)
    return problems.length === 0 ? NOTHING : new GrpcFailure(code, headerText(listProblems(problems)))
  }

  /** Hands the report on as it came and tells what is wrong with some of its records. */
  #accept(payload: Uint8Array): { outcome: ReportOutcome | Promise<ReportOutcome>; problems: readonly string[] } {
    const { records, globalWordCount } = readMixerReport(payload, this.#limits)
    const problems: string[] = []
    if (records.length === 0) return { outcome: undefined, problems }
    refuseUnknownWords(globalWordCount)
    for (const [at, { problem }] of records.entries()) {
      if (problem !== undefined) problems.push(`record ${at}: ${problem}`)
    }
    const count = records.length - problems.length
    if (count === 0) return { outcome: undefined, problems }
    const { clock, report, nextBatchId, reportAcks = DEFAULT_REPORT_ACKS } = this.#given
    const batch = { id: nextBatchId(), format: MIXER_REPORT.name, count, payload, acceptedAt: clock.now() }
    return { outcome: report.accept(batch, reportAcks.mixer), problems }
  }

  #failure(caught: unknown, peer: string): GrpcFailure {
    if (caught instanceof IntermixError) {
      this.#refused(caught, peer)
      const { code, message } = caught.status
      if (!caught.retryable && code !== Code.INVALID_ARGUMENT) this.#logFailure(caught, 'a Mixer call failed')
      return new GrpcFailure(KEPT_CODES.has(code) ? code : Code.INTERNAL, headerText(message))
    }
    this.#logFailure(caught, 'a Mixer call failed')
    return new GrpcFailure(Code.INTERNAL, 'internal error')
  }
}

const NOTHING_ASKED: Asked = { bag: EMPTY_BAG, vocabulary: new Map(), globalWordCount: 0 }

function checkOptionsOf(request: CheckRequest, timeoutMs: number, startedAt: number): CheckOptions {
  const { deduplicationId, quotas } = request
  // Mixer's proxies know their quotas and name them: what they keep answers for is not charged by the request.
  const options = { timeoutMs, startedAt, keepsAnswer: true, charging: 'named' } as const
  return quotas.size === 0 ? options : { ...options, quotas, deduplicationId }
}

function tooLarge(most: number): RefusedRequest {
  return new RefusedRequest(
    'too-large',
    `the attributes have more than ${most} bytes; send fewer`,
    'raise --max-attribute-bytes',
  )
}

function refuseUnknownWords(globalWordCount: number): void {
  if (globalWordCount <= GLOBAL_WORDS.length) return
  const counts = `mixer knows ${GLOBAL_WORDS.length} words, caller knows ${globalWordCount}`
  throw new IntermixError('INTERNAL', `inconsistent global dictionary versions used: ${counts}`)
}

function listProblems(problems: readonly string[]): string {
  const named = problems.slice(0, MAX_PROBLEMS_NAMED).map((problem) => `\n\t* ${problem.slice(0, 200)}`)
  const rest = problems.length - named.length
  const count = problems.length === 1 ? '1 error occurred' : `${problems.length} errors occurred`
  return `${count}:${named.join('')}${rest === 0 ? '' : `\n\t* and ${rest} more`}`
}

/** A message may quote what the caller sent: it is bounded, and half a surrogate pair could not be sent in a header. */
function headerText(message: string): string {
  return message.slice(0, MAX_DETAILS).toWellFormed()
}
