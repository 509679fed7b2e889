// A check service, a report service and measuring ports for tests of the front doors.
import { EventEmitter, once } from 'node:events'
import type { AttributeBag, Vocabulary } from '../../src/kernel/attribute-bag.ts'
import type { Logger, LoopLag } from '../../src/kernel/ports.ts'
import type { ReportBatch } from '../../src/kernel/report.ts'
import type {
  CheckOptions,
  CheckOutcome,
  CheckService,
  QuotaGrant,
  QuotaService,
  ReportAck,
  ReportOutcome,
  ReportService,
} from '../../src/kernel/services.ts'
import type { ValueType } from '../../src/kernel/value.ts'
import type { Answer } from '../../src/kernel/verdict.ts'
import { systemClock } from '../../src/kernel/system-clock.ts'
import { Admission } from '../../src/server/admission.ts'
import { type GrpcDoorDependencies, grpcServices } from '../../src/server/grpc-doors.ts'
import { createBatchIds } from '../../src/kernel/batch-ids.ts'
import { ReadableMeter } from '../redis/support.ts'

const VOCABULARY: Vocabulary = new Map<string, ValueType>([
  ['source.ip', 'IP_ADDRESS'],
  ['source.labels', 'STRING_MAP'],
  ['source.namespace', 'STRING'],
  ['source.principal', 'STRING'],
  ['destination.port', 'INT64'],
  ['destination.service.name', 'STRING'],
  ['connection.mtls', 'BOOL'],
  ['request.headers', 'STRING_MAP'],
  ['request.path', 'STRING'],
  ['request.size', 'INT64'],
  ['request.time', 'TIMESTAMP'],
  ['response.duration', 'DURATION'],
  ['response.code', 'INT64'],
  ['sample.rate', 'DOUBLE'],
])

/** An allowing answer with some parts replaced. */
export function answerOf(parts: Partial<Answer> = {}): Answer {
  return {
    status: { code: 0, message: '' },
    validForMs: 60_000,
    validUses: 10_000,
    tier: 'backend',
    ageMs: 0,
    referenced: [],
    requestHeaders: [],
    responseHeaders: [],
    ...parts,
  }
}

type Decide = (bag: AttributeBag, options: CheckOptions) => CheckOutcome | Promise<CheckOutcome>

/** Answers with what `decide` says and keeps what it was asked. */
export class RecordingCheck implements CheckService {
  decide: Decide = () => ({ answer: answerOf(), quotas: new Map() })
  readonly asked: { bag: AttributeBag; options: CheckOptions }[] = []

  vocabulary(): Vocabulary {
    return VOCABULARY
  }

  check(bag: AttributeBag, options: CheckOptions): CheckOutcome | Promise<CheckOutcome> {
    this.asked.push({ bag, options })
    return this.decide(bag, options)
  }

  /** Answers all further checks with an answer. */
  answer(parts: Partial<Answer>): void {
    this.decide = () => ({ answer: answerOf(parts), quotas: new Map() })
  }

  get lastBag(): AttributeBag {
    const last = this.asked.at(-1)
    if (last === undefined) throw new Error('nothing was asked')
    return last.bag
  }
}

/** Grants what `decide` says and keeps what it was asked. */
class RecordingQuotas implements QuotaService {
  decide: (...asked: Parameters<QuotaService['charge']>) => ReadonlyMap<string, QuotaGrant> = () => new Map()
  readonly asked: Parameters<QuotaService['charge']>[] = []

  async charge(...asked: Parameters<QuotaService['charge']>): Promise<ReadonlyMap<string, QuotaGrant>> {
    this.asked.push(asked)
    return this.decide(...asked)
  }
}

/** Keeps what it accepts. */
class RecordingReport implements ReportService {
  readonly batches: ReportBatch[] = []
  readonly #accepted = new EventEmitter()

  /** Decides on each batch; refused ones are not kept. */
  decide: (batch: ReportBatch, ack: ReportAck) => ReportOutcome | Promise<ReportOutcome> = () => undefined

  accept(batch: ReportBatch, ack: ReportAck): ReportOutcome | Promise<ReportOutcome> {
    const outcome = this.decide(batch, ack)
    if (outcome instanceof Promise) return outcome.then((refusal) => this.#keep(batch, refusal))
    return this.#keep(batch, outcome)
  }

  #keep(batch: ReportBatch, refusal: ReportOutcome): ReportOutcome {
    if (refusal !== undefined) return refusal
    this.batches.push(batch)
    this.#accepted.emit('batch')
    return undefined
  }

  /** Resolves once `count` batches are there. */
  async have(count: number): Promise<void> {
    while (this.batches.length < count) await once(this.#accepted, 'batch')
  }
}

/** Counts by `name{labels}`; a histogram counts its observations. */
class CountingMeter extends ReadableMeter {
  readonly counts = this.values

  protected override keyOf(name: string, labels: readonly string[]): string {
    return `${name}{${labels.join()}}`
  }
}

/** Keeps lines of errors and warnings. */
class RecordingLog implements Logger {
  readonly errors: { fields: object; message: string }[] = []
  readonly warnings: { fields: object; message: string }[] = []
  debug(): void {}
  info(): void {}
  warn(fields: object, message: string): void {
    this.warnings.push({ fields, message })
  }
  error(fields: object, message: string): void {
    this.errors.push({ fields, message })
  }
  child(): Logger {
    return this
  }
}

/** A loop that is never late: tests of servers do not depend on how busy the machine is. */
const prompt: LoopLag = { lagMs: () => 0 }

/** Everything that a server is built from. */
export function dependencies() {
  const log = new RecordingLog()
  const meter = new CountingMeter()
  return {
    check: new RecordingCheck(),
    quotas: new RecordingQuotas(),
    report: new RecordingReport(),
    clock: systemClock,
    random: () => 0.25,
    log,
    meter,
    admission: new Admission({ clock: systemClock, log, meter, loopLag: prompt, maxInFlight: 100 }),
    nextBatchId: createBatchIds({ nodeId: 'node-a', clock: systemClock, random: () => 0.25 }).next,
    defaultTimeoutMs: 1_000,
  }
}

/** With all gRPC services, built from it. */
export function served<Given extends GrpcDoorDependencies>(given: Given) {
  return { ...given, services: grpcServices(given) }
}
