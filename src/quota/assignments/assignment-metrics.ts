// What is counted of quotas that are assigned to proxies.

import {
  RATE_LIMIT_QUOTA_ACTIONS_TOTAL,
  RATE_LIMIT_QUOTA_BUCKETS,
  RATE_LIMIT_QUOTA_PROXIES,
  RATE_LIMIT_QUOTA_REFUSED_TOTAL,
  RATE_LIMIT_QUOTA_UNASSIGNED_TOTAL,
} from '../../kernel/metrics/quotas.ts'
import type { Counter, Gauge, Meter } from '../../kernel/ports.ts'
import type { Strategy } from '../../kernel/quota-buckets.ts'

export class AssignmentMetrics {
  readonly #actions: (labels: { readonly action: Strategy['kind'] | 'abandon' }) => Counter
  readonly #refused: (labels: { readonly reason: 'proxies' | 'buckets' | 'id' | 'unknown' }) => Counter
  readonly #unassigned: Counter
  readonly #proxies: Gauge
  readonly #buckets: Gauge

  constructor(meter: Meter) {
    this.#actions = meter.counter(RATE_LIMIT_QUOTA_ACTIONS_TOTAL)
    this.#refused = meter.counter(RATE_LIMIT_QUOTA_REFUSED_TOTAL)
    this.#unassigned = meter.counter(RATE_LIMIT_QUOTA_UNASSIGNED_TOTAL)()
    this.#proxies = meter.gauge(RATE_LIMIT_QUOTA_PROXIES)()
    this.#buckets = meter.gauge(RATE_LIMIT_QUOTA_BUCKETS)()
  }

  told(action: Strategy['kind'] | 'abandon'): void {
    this.#actions({ action }).add()
  }

  refused(reason: 'proxies' | 'buckets' | 'id' | 'unknown'): undefined {
    this.#refused({ reason }).add()
  }

  unassigned(requests: number): void {
    if (requests > 0) this.#unassigned.add(requests)
  }

  open(proxies: number, buckets: number): void {
    this.#proxies.set(proxies)
    this.#buckets.set(buckets)
  }
}
