// One call of reports on its way to nodes: the same one, until a node has taken it or refused it for good. Its answer may be
// lost, so that nothing of it can be given up before that.

import { type ErrorCode, IntermixError, reasonsOf } from '../../kernel/errors.ts'
import type { Clock, Logger, Random } from '../../kernel/ports.ts'
import type { DroppedRecords } from '../../kernel/report.ts'
import { RetryTimer } from '../../kernel/retry-timer.ts'
import { encodeDropped } from '../../wire/reports/report-call.ts'
import type { Nodes } from '../nodes/nodes.ts'
import type { BufferLedger } from './buffer-ledger.ts'
import type { PackedCall } from './buffered.ts'

const PATH = '/intermix.v1.Reports/Report'
/** A node says after ten seconds that it does not know; another one is asked then. */
const TIMEOUT_MS = 25_000
/** What a node says of a call that no other try will change. */
const FOR_GOOD: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['INVALID_REQUEST', 'TOO_LARGE'])
const RETRY = { firstMs: 500, maxMs: 10_000 }

export interface CallSenderOptions {
  readonly nodes: Pick<Nodes, 'call'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly ledger: BufferLedger
  /** By what nodes are chosen. */
  readonly affinity: string
  readonly tenant: string
  /** The call has ended, and another one may be sent. */
  readonly onEnded: (call: PackedCall) => void
}

interface Sending {
  readonly call: PackedCall
  /** With what was dropped. */
  readonly message: Uint8Array
  readonly dropped: readonly DroppedRecords[]
}

export class CallSender {
  readonly #options: CallSenderOptions
  readonly #retry: RetryTimer
  #sending: Sending | undefined
  #isTrying = false
  #isFailing = false
  #isOver = false

  constructor(options: CallSenderOptions) {
    const { clock, random } = options
    this.#options = options
    this.#retry = new RetryTimer({ clock, random, ...RETRY, retry: () => this.#try() })
  }

  get isIdle(): boolean {
    return this.#sending === undefined
  }

  /** Sends a call, and with it what was dropped. To be called while it is idle. */
  send(call: PackedCall): void {
    const dropped = this.#options.ledger.takeUntold()
    const message = dropped.length === 0 ? call.message : Buffer.concat([call.message, encodeDropped(dropped)])
    this.#sending = { call, message, dropped }
    this.#try()
  }

  /** Tries at once where it waits for the next try. */
  hurry(): void {
    if (!this.#retry.isWaiting) return
    this.#retry.cancel()
    this.#try()
  }

  /** Tries no more. What is on its way may still arrive. */
  stop(why: IntermixError): void {
    this.#isOver = true
    this.#retry.cancel()
    for (const settle of this.#sending?.call.waiting ?? []) settle(why)
  }

  #try(): void {
    const sending = this.#sending
    if (sending === undefined || this.#isTrying || this.#isOver) return
    const { nodes, affinity, tenant } = this.#options
    this.#isTrying = true
    nodes.call(PATH, sending.message, { affinity, tenant, timeoutMs: TIMEOUT_MS }).then(
      () => this.#ended(sending, undefined),
      (error: unknown) => this.#ended(sending, IntermixError.from(error)),
    )
  }

  #ended({ call, dropped }: Sending, failure: IntermixError | undefined): void {
    this.#isTrying = false
    if (this.#isOver) return
    const { ledger, log, onEnded } = this.#options
    const { count, accepted, waiting } = call
    if (failure === undefined) {
      ledger.calls.taken.add()
      ledger.accepted(count - accepted)
      ledger.sent(count)
      this.#retry.worked()
      if (this.#isFailing) log.info({}, 'a node takes reports again')
      this.#isFailing = false
    } else if (FOR_GOOD.has(failure.code) && count > 0) {
      ledger.calls.refused.add()
      ledger.dropped('refused', accepted)
      ledger.refused('node', count - accepted)
      ledger.giveBack(dropped)
      log.error({ err: failure, records: count }, 'a node has refused reports for good')
    } else {
      ledger.calls.failed.add()
      this.#retry.failed()
      if (!this.#isFailing)
        log.warn({ why: reasonsOf(failure) }, 'no node takes reports: they are held, and sent again')
      this.#isFailing = true
      return
    }
    this.#sending = undefined
    for (const settle of waiting) settle(failure)
    onEnded(call)
  }
}
