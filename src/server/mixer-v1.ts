// The front door for Istio's proxies: istio.mixer.v1.Mixer. Attributes stay bytes until a rule reads them.

import { type MethodDefinition, status as grpcStatus, type sendUnaryData, type ServerUnaryCall } from '@grpc/grpc-js'
import { MapBag } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import { MIXER_IGNORED_ATTRIBUTES_TOTAL, MIXER_UNSHAREABLE_ANSWERS_TOTAL } from '../kernel/metrics/doors.ts'
import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import { RefusedRequest } from '../kernel/refused-request.ts'
import { DEFAULT_LIMITS, type RequestLimits } from '../kernel/request-limits.ts'
import type { CheckOutcome, CheckService, ReportService } from '../kernel/services.ts'
import { Code } from '../kernel/status.ts'
import type { Answer } from '../kernel/verdict.ts'
import { decodeCheckRequest } from '../wire/mixer/check-request.ts'
import { encodeCheckResponse } from '../wire/mixer/check-response.ts'
import { type Anomaly, CompressedAttributesBag } from '../wire/mixer/compressed-attributes-bag.ts'
import { GLOBAL_WORDS } from '../wire/mixer/dictionary.ts'
import { readMixerReport } from '../wire/mixer/report-request.ts'
import { createBatchIds } from './batch-ids.ts'
import { timeoutOf } from './deadline.ts'
import { createDoorMetrics } from './door-metrics.ts'
import { createFailureLog } from './failure-log.ts'
import type { GrpcService } from './grpc-service.ts'
import { refusalAnswer } from './refusal-answer.ts'
import { createRefusals } from './refusals.ts'

const NAME = 'istio.mixer.v1.Mixer'
/** A status message travels in a header, so it names only the first problems. */
const MAX_PROBLEMS_NAMED = 10
const MAX_DETAILS = 2_048
/** Codes of ours that a caller can act on; every other failure of a check is INTERNAL, as Mixer had it. */
const KEPT_CODES: ReadonlySet<number> = new Set([
  Code.INVALID_ARGUMENT,
  Code.UNAVAILABLE,
  Code.DEADLINE_EXCEEDED,
  Code.CANCELLED,
])

interface MixerDependencies {
  readonly check: CheckService
  readonly report: ReportService
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  /** Name of this node, the first part of report batches' ids. */
  readonly nodeId: string
  /** How long a check may take whose caller sets no deadline, in ms. */
  readonly defaultTimeoutMs: number
  readonly limits?: RequestLimits
}

type Call = ServerUnaryCall<Buffer, Uint8Array>
type Reply = sendUnaryData<Uint8Array>

/**
 * The Mixer service of Istio 1.4 over the check and report services. Failures as Mixer gave them: an unknown part of
 * the dictionary is INTERNAL, an overloaded or unready node UNAVAILABLE, wrong records of a report UNKNOWN after the
 * others were taken. Beyond Mixer, a call that is not a well-formed message fails with INVALID_ARGUMENT, and a request
 * that is refused for what it is (`RefusedRequest`, or by the check service) is denied with that status.
 */
export function mixerService(dependencies: MixerDependencies): GrpcService {
  const door = new MixerDoor(dependencies)
  return {
    name: NAME,
    definition: { Check: rawMethod('Check'), Report: rawMethod('Report') },
    doors: new Map([
      [`/${NAME}/Check`, { name: 'mixer_check', priority: 'check' }],
      [`/${NAME}/Report`, { name: 'mixer_report', priority: 'report' }],
    ]),
    implementation: {
      Check: (call: Call, reply: Reply) => door.check(call, reply),
      Report: (call: Call, reply: Reply) => door.report(call, reply),
    },
  }
}

class MixerDoor {
  readonly #given: MixerDependencies
  readonly #nextBatchId: () => string
  readonly #limits: RequestLimits
  readonly #logFailure: (caught: unknown, message: string) => void
  readonly #refused: ReturnType<typeof createRefusals>
  readonly #checks: ReturnType<typeof createDoorMetrics>
  readonly #reports: ReturnType<typeof createDoorMetrics>
  readonly #countAnomaly: (anomaly: Anomaly) => void
  readonly #unshareable: () => void

  constructor(dependencies: MixerDependencies) {
    const { meter, clock } = dependencies
    this.#given = dependencies
    this.#nextBatchId = createBatchIds(dependencies)
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

  check(call: Call, reply: Reply): void {
    const startedAt = this.#given.clock.monotonic()
    let asked = false
    const fail = (caught: unknown) => {
      const error = this.#failure(caught, call.getPeer())
      this.#checks.finished(error.code, startedAt)
      // As a failed call, it would meet the client's network fail policy.
      const refusal = caught instanceof RefusedRequest || asked ? refusalAnswer(caught) : undefined
      if (refusal !== undefined) return reply(null, encodeRefusal(refusal))
      reply(error)
    }
    try {
      const timeoutMs = timeoutOf(call.getDeadline(), this.#given.clock.now(), this.#given.defaultTimeoutMs)
      if (timeoutMs === 0)
        throw new IntermixError('DEADLINE_EXCEEDED', 'the deadline has passed before the check began')
      const request = decodeCheckRequest(call.request)
      refuseUnknownWords(request.globalWordCount)
      const vocabulary = this.#given.check.vocabulary()
      const { maxMapEntries, maxAttributeBytes } = this.#limits
      if (request.attributes.length > maxAttributeBytes) throw tooLarge(maxAttributeBytes)
      const options = { vocabulary, onAnomaly: this.#countAnomaly, maxMapEntries }
      const bag = CompressedAttributesBag.decodeStrictly(request.attributes, options)
      const finish = (outcome: CheckOutcome) => {
        const { globalWordCount } = request
        const response = encodeCheckResponse({ outcome, globalWordCount, vocabulary, bag })
        if (!response.reusable && outcome.answer.validForMs > 0 && outcome.answer.validUses > 0) this.#unshareable()
        this.#checks.finished(Code.OK, startedAt)
        reply(null, response.bytes)
      }
      const { deduplicationId, quotas } = request
      asked = true
      const outcome = this.#given.check.check(bag, {
        timeoutMs,
        keepsAnswer: true,
        ...(quotas.size === 0 ? {} : { quotas }),
        ...(deduplicationId === '' ? {} : { deduplicationId }),
      })
      if (outcome instanceof Promise) outcome.then(finish).catch(fail)
      else finish(outcome)
    } catch (caught) {
      fail(caught)
    }
  }

  report(call: Call, reply: Reply): void {
    const startedAt = this.#given.clock.monotonic()
    try {
      const problems = this.#accept(call.request)
      const code = problems.length === 0 ? Code.OK : Code.UNKNOWN
      this.#reports.finished(code, startedAt)
      if (problems.length === 0) reply(null, new Uint8Array(0))
      else reply({ code: grpcStatus.UNKNOWN, details: headerText(listProblems(problems)) })
    } catch (caught) {
      const error = this.#failure(caught, call.getPeer())
      this.#reports.finished(error.code, startedAt)
      reply(error)
    }
  }

  /** Hands the report on as it came and tells what is wrong with some of its records. */
  #accept(payload: Buffer): string[] {
    const { records, globalWordCount } = readMixerReport(payload, this.#limits)
    if (records.length === 0) return []
    refuseUnknownWords(globalWordCount)
    const problems: string[] = []
    for (const [at, { problem }] of records.entries()) {
      if (problem !== undefined) problems.push(`record ${at}: ${problem}`)
    }
    const count = records.length - problems.length
    if (count > 0) {
      const acceptedAt = this.#given.clock.now()
      this.#given.report.accept({ id: this.#nextBatchId(), format: 'mixer-report', count, payload, acceptedAt })
    }
    return problems
  }

  #failure(caught: unknown, peer: string): { code: number; details: string } {
    if (caught instanceof IntermixError) {
      this.#refused(caught, peer)
      const { code, message } = caught.status
      if (!caught.retryable && code !== Code.INVALID_ARGUMENT) this.#logFailure(caught, 'a Mixer call failed')
      return { code: KEPT_CODES.has(code) ? code : Code.INTERNAL, details: headerText(message) }
    }
    this.#logFailure(caught, 'a Mixer call failed')
    return { code: Code.INTERNAL, details: 'internal error' }
  }
}

function encodeRefusal(answer: Answer): Uint8Array {
  const outcome = { answer, quotas: new Map() }
  return encodeCheckResponse({ outcome, globalWordCount: 0, vocabulary: new Map(), bag: MapBag.of({}) }).bytes
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

/** Requests stay bytes and responses come encoded, so both codecs hand them through. */
function rawMethod(method: string): MethodDefinition<Uint8Array, Uint8Array> {
  const asBuffer = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return {
    path: `/${NAME}/${method}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: asBuffer,
    requestDeserialize: (bytes) => bytes,
    responseSerialize: asBuffer,
    responseDeserialize: (bytes) => bytes,
  }
}
