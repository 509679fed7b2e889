// The ledger as a process keeps it: it says what it has accepted itself, and holds what all have counted against what is there.

import type { Clock, Logger, Meter } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import type { IntakeTotals } from '../telemetry/intake-ledger.ts'
import { FAN_OUT, type HandlerTotals } from '../telemetry/ledger.ts'
import { LedgerAudit } from '../telemetry/ledger-audit.ts'
import { findingsOf } from '../telemetry/ledger-findings.ts'
import { type LedgerReport, reportOf } from '../telemetry/ledger-report.ts'
import { NodeSigns } from '../telemetry/node-signs.ts'
import type { ParcelSink } from '../telemetry/parcel-road.ts'

export interface LedgerBooks {
  /** The same sink; what it takes is counted. */
  counting(sink: ParcelSink): ParcelSink
  /** @param intake tells the numbers of this process, where it accepts reports */
  start(intake: (() => IntakeTotals) | undefined): void
  look(): Promise<LedgerReport>
  /** To be called when nothing is accepted or queued any more. */
  stop(): Promise<void>
}

export interface SharedBooksOptions {
  readonly link: RedisLink
  readonly prefix: string
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  /** Name of this process, as its batch ids have it, and of its node. */
  readonly process: string
  readonly node: string
  /** Whether this process looks by itself again and again, and shows what is missing as a metric. */
  readonly watches: boolean
}

const LOOK_EVERY_MS = 10_000

/** Over Redis: of all processes. */
export function sharedBooks(options: SharedBooksOptions): LedgerBooks {
  const { clock, log, watches } = options
  const signs = new NodeSigns(options)
  const audit = new LedgerAudit(options)
  let cancel = () => {}
  let isStopped = false
  const watch = () => {
    if (isStopped) return
    cancel = clock.after(LOOK_EVERY_MS, () => {
      audit.look().then(watch, (error: unknown) => {
        log.debug({ err: error }, 'the ledger could not be read')
        watch()
      })
    })
  }
  return {
    counting: (sink) => signs.counting(sink),
    start(intake) {
      if (intake !== undefined) signs.start(intake)
      if (watches) watch()
    },
    look: () => audit.look(),
    async stop() {
      isStopped = true
      cancel()
      await signs.end()
      await audit.close()
    },
  }
}

/** Of this process alone, which has no Redis. */
export function ownBooks(
  { process, node }: Pick<SharedBooksOptions, 'process' | 'node'>,
  totals: () => Promise<ReadonlyMap<string, HandlerTotals>>,
): LedgerBooks {
  let numbers: (() => IntakeTotals) | undefined
  return {
    counting: (sink) => sink,
    start(intake) {
      numbers = intake
    },
    async look() {
      const handlers = new Map([...(await totals())].map(([handler, counted]) => [handler, countsOf(counted)]))
      const intake = numbers?.()
      const facts = {
        nodes: intake === undefined ? [] : [{ process, node, intake, queued: {}, rules: [], silentMs: 0 }],
        reportQueues: [],
        handlerQueues: new Map(),
        letters: 0,
        arrived: new Map([[process, { records: handlers.get(FAN_OUT)?.get('accepted') ?? 0, parcels: 0 }]]),
        handlers,
        oldestMs: undefined,
      }
      return reportOf(facts, findingsOf(facts, handlers), false)
    },
    stop: () => Promise.resolve(),
  }
}

function countsOf({ accepted, delivered, held, dropped }: HandlerTotals): Map<string, number> {
  const reasons = Object.entries(dropped).map(([reason, count]) => [`dropped:${reason}`, count] as const)
  return new Map([['accepted', accepted], ['delivered', delivered], ['held', held], ...reasons])
}
