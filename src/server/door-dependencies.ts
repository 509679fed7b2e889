// What front doors are built from, whichever protocol they speak; each names what it needs of it.

import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import type { QuotaAssignments } from '../kernel/quota-buckets.ts'
import type { RequestLimits } from '../kernel/request-limits.ts'
import type { CheckService, RateLimitService, ReportAcks, ReportService } from '../kernel/services.ts'
import type { RateLimitHeaders } from './rate-limit-response.ts'

/** What answers demands, which headers tell of limits, whether dynamic metadata does, and what assigns quotas to proxies where that is wanted. */
export interface RateLimitDoor {
  readonly service: RateLimitService
  readonly headers: RateLimitHeaders
  readonly metadata?: boolean
  readonly assignments?: QuotaAssignments | undefined
}

export interface DoorDependencies {
  readonly check: CheckService
  readonly report: ReportService
  /** What each door's answer to a report promises; the defaults of `kernel/services.ts` unless set. */
  readonly reportAcks?: ReportAcks
  /** Rate limits by descriptors; `undefined` where none are configured. */
  readonly rateLimit?: RateLimitDoor | undefined
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  /** Names batches of reports. One for all doors of a process: what comes before the last `-` says which process it was. */
  readonly nextBatchId: () => string
  /** How long a check may take whose caller sets no deadline, in ms. */
  readonly defaultTimeoutMs: number
  /** Bounds of one request's attributes, and of one entry of an access log. */
  readonly limits?: RequestLimits
}
