// The front door for Envoy's rate limit quota filter (gRPC, v3; RLQS): proxies limit by themselves, say what they let pass, and
// are told how to go on.

import { RATE_LIMIT_QUOTA_REFUSED_TOTAL } from '../kernel/metrics/quotas.ts'
import type { Clock, Counter } from '../kernel/ports.ts'
import type { BucketAction, QuotaAssignments, QuotaProxy } from '../kernel/quota-buckets.ts'
import { IntermixError } from '../kernel/errors.ts'
import { Code } from '../kernel/status.ts'
import { readUsageReports } from '../wire/quota-usage-reports.ts'
import type { Admission, DoorAdmission } from './admission.ts'
import type { DoorDependencies } from './door-dependencies.ts'
import { createDoorMetrics, type DoorMetrics } from './door-metrics.ts'
import { createFailedCalls } from './failed-calls.ts'
import { SHUTTING_DOWN } from './grpc-gate.ts'
import { GrpcFailure, type GrpcService, type GrpcStream, type GrpcStreamHandler } from './grpc-service.ts'
import { encodeQuotaActions } from './quota-actions.ts'

const NAME = 'envoy.service.rate_limit_quota.v3.RateLimitQuotaService'
const DOOR = 'rate_limit_quota'
/** Actions of one message. */
const MAX_ACTIONS = 1_000
/** How long a stream is not read for that is to wait. */
const PAUSE_MS = 100
/** A stream without a report for so long has nobody at its end. */
const SILENT_MS = 600_000

interface RateLimitQuotaDependencies extends Pick<DoorDependencies, 'clock' | 'log' | 'meter'> {
  readonly admission: Pick<Admission, 'door'>
  readonly assignments: QuotaAssignments
}

interface Common {
  readonly clock: Clock
  readonly assignments: QuotaAssignments
  readonly door: DoorAdmission
  readonly metrics: DoorMetrics
  /** Of usages that nobody reads. */
  readonly passedOver: (reason: 'id' | 'buckets') => Counter
  readonly fail: ReturnType<typeof createFailedCalls>
}

/**
 * The RateLimitQuotaService. A stream that ends leaves its proxy what it was assigned until that expires; it then does what its
 * filter is configured to, and begins another stream with its next report.
 */
export function rateLimitQuotaService(given: RateLimitQuotaDependencies): GrpcService {
  const { admission, assignments, clock, meter } = given
  const passedOver = meter.counter(RATE_LIMIT_QUOTA_REFUSED_TOTAL)
  const metrics = createDoorMetrics({ ...given, door: DOOR })
  const common: Common = {
    clock,
    assignments,
    door: admission.door(DOOR, 'report'),
    metrics,
    passedOver: (reason) => passedOver({ reason }),
    fail: createFailedCalls({
      ...given,
      door: DOOR,
      metrics,
      message: 'a report of the rate limit quota service failed',
    }),
  }
  const open = new Set<QuotaStream>()
  return {
    name: NAME,
    methods: [
      {
        kind: 'stream',
        path: `/${NAME}/StreamRateLimitQuotas`,
        open(stream) {
          const handler = new QuotaStream(common, stream, () => open.delete(handler))
          open.add(handler)
          return handler
        },
      },
    ],
    drain() {
      for (const stream of open) stream.leave()
    },
  }
}

class QuotaStream implements GrpcStreamHandler {
  readonly #common: Common
  readonly #stream: GrpcStream
  readonly #onEnd: () => void
  #domain = ''
  #proxy: QuotaProxy | undefined
  /** Reports that came while the node had too much to do. */
  readonly #unread: Uint8Array[] = []
  /** What is to be told, the newest of each bucket. */
  readonly #actions = new Map<string, BucketAction>()
  #isBooked = false
  /** The proxy reads slower than we write. */
  #isBlocked = false
  #isPaused = false
  #isOver = false
  #heardAt: number
  #cancelPause = () => {}
  #cancelSilence = () => {}

  constructor(common: Common, stream: GrpcStream, onEnd: () => void) {
    this.#common = common
    this.#stream = stream
    this.#onEnd = onEnd
    this.#heardAt = common.clock.attentive()
    this.#watch()
  }

  message(bytes: Uint8Array): void {
    if (this.#isOver) return
    this.#heardAt = this.#common.clock.attentive()
    this.#unread.push(bytes)
    if (!this.#isPaused) this.#read()
  }

  halfClosed(): void {
    this.#end()
  }

  closed(): void {
    this.#close()
  }

  drained(): void {
    this.#isBlocked = false
    this.#flush()
  }

  /** The proxy begins another stream, at a node that stays. */
  leave(): void {
    this.#end(SHUTTING_DOWN)
  }

  /** In an overload reports wait where they are, and flow control holds the proxy back: none of them is dropped. */
  readonly #read = (): void => {
    const { door } = this.#common
    for (let bytes = this.#unread[0]; bytes !== undefined && !this.#isOver; bytes = this.#unread[0]) {
      if (door.admit(Number.POSITIVE_INFINITY) !== undefined) return this.#pause()
      this.#unread.shift()
      this.#take(bytes)
      door.end()
    }
    if (this.#isPaused && !this.#isOver) this.#stream.resume()
    this.#isPaused = false
  }

  #pause(): void {
    if (!this.#isPaused) this.#stream.pause()
    this.#isPaused = true
    this.#cancelPause = this.#common.clock.after(PAUSE_MS, this.#read)
  }

  #take(bytes: Uint8Array): void {
    const { clock, metrics, fail } = this.#common
    const startedAt = clock.monotonic()
    try {
      this.#report(bytes)
      metrics.finished(Code.OK, startedAt)
    } catch (caught) {
      this.#end(fail(caught, startedAt, this.#stream.peer))
    }
  }

  #report(bytes: Uint8Array): void {
    const { domain, usages, passedOver } = readUsageReports(bytes)
    this.#common.passedOver('id').add(passedOver.tooLarge)
    this.#common.passedOver('buckets').add(passedOver.tooMany)
    if (this.#proxy === undefined) {
      this.#domain = domain
      this.#proxy = this.#common.assignments.open(domain, (action) => this.#tell(action))
    } else if (domain !== '' && domain !== this.#domain) {
      throw new IntermixError(
        'INVALID_REQUEST',
        `this stream is of the domain "${this.#domain}": begin another one for "${domain}"`,
      )
    }
    this.#proxy.report(usages)
  }

  #tell(action: BucketAction): void {
    if (this.#isOver) return
    const id = JSON.stringify(action.bucket)
    // Of two actions the later one holds; but what begins anew has not begun yet where it is only told to go on.
    const before = this.#actions.get(id)
    this.#actions.set(id, before === undefined ? action : later(before, action))
    if (this.#isBooked || this.#isBlocked) return
    this.#isBooked = true
    this.#common.clock.turn(this.#flush)
  }

  readonly #flush = (): void => {
    this.#isBooked = false
    const actions = [...this.#actions]
    for (let at = 0; at < actions.length && !this.#isBlocked && !this.#isOver; at += MAX_ACTIONS) {
      const part = actions.slice(at, at + MAX_ACTIONS)
      for (const [id] of part) this.#actions.delete(id)
      this.#isBlocked = !this.#stream.write(encodeQuotaActions(part.map(([, action]) => action)))
    }
  }

  #watch(): void {
    const { clock } = this.#common
    const leftMs = this.#heardAt + SILENT_MS - clock.attentive()
    if (leftMs > 0) this.#cancelSilence = clock.after(leftMs, () => this.#watch())
    else this.#end(new GrpcFailure(Code.DEADLINE_EXCEEDED, 'no report has come for too long'))
  }

  #end(failure?: GrpcFailure): void {
    if (this.#isOver) return
    this.#flush()
    this.#stream.end(failure)
    this.#close()
  }

  #close(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelPause()
    this.#cancelSilence()
    this.#unread.length = 0
    this.#actions.clear()
    this.#proxy?.close()
    this.#onEnd()
  }
}

/** One action in place of two that were not sent yet. */
function later(before: BucketAction, action: BucketAction): BucketAction {
  if (before.kind !== 'assign' || before.strategy.kind !== 'requests' || !before.strategy.isNew) return action
  if (action.kind !== 'assign' || action.strategy.kind !== 'requests' || action.strategy.isNew) return action
  return { ...action, strategy: { ...action.strategy, isNew: true } }
}
