// The series of pools of quotas, resolved once.

import { POOL_LEASES_TOTAL, POOL_QUOTAS_TOTAL } from '../../kernel/metrics/quotas.ts'
import type { Counter, Meter } from '../../kernel/ports.ts'

export interface QuotaPoolMetrics {
  readonly quotas: Readonly<Record<'granted' | 'refused' | 'asked' | 'repeated', Counter>>
  readonly leases: Readonly<Record<'full' | 'short' | 'failed', Counter>>
}

export function createQuotaPoolMetrics(meter: Meter): QuotaPoolMetrics {
  const quotas = meter.counter(POOL_QUOTAS_TOTAL)
  const leases = meter.counter(POOL_LEASES_TOTAL)
  return {
    quotas: {
      granted: quotas({ by: 'pool_granted' }),
      refused: quotas({ by: 'pool_refused' }),
      asked: quotas({ by: 'node' }),
      repeated: quotas({ by: 'repeated' }),
    },
    leases: {
      full: leases({ outcome: 'full' }),
      short: leases({ outcome: 'short' }),
      failed: leases({ outcome: 'failed' }),
    },
  }
}
