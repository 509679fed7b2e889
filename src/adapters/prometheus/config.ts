// Params of the prometheus adapter, as Mixer's documentation describes them, and a bound on the number of series.

import { z } from 'zod'
import { goDuration } from '../../adapter-kit/schema.ts'

const linear = z.strictObject({
  numFiniteBuckets: z.int().min(1).max(1000),
  width: z.number().positive(),
  offset: z.number().default(0),
})
const exponential = z.strictObject({
  numFiniteBuckets: z.int().min(1).max(1000),
  growthFactor: z.number().gt(1),
  scale: z.number().positive(),
})
const explicit = z.strictObject({ bounds: z.array(z.number()).min(1).max(1000) })

const buckets = z.strictObject({
  linearBuckets: linear.optional(),
  exponentialBuckets: exponential.optional(),
  explicitBuckets: explicit.optional(),
})

const metric = z.strictObject({
  /** Mixer's default: the instance's name with `_` for what Prometheus does not allow. */
  name: z.string().optional(),
  namespace: z.string().default('istio'),
  description: z.string().default(''),
  instanceName: z.string().min(1),
  kind: z.enum(['UNSPECIFIED', 'GAUGE', 'COUNTER', 'DISTRIBUTION']),
  labelNames: z.array(z.string()).max(100).default([]),
  buckets: buckets.optional(),
  /** Label sets of this metric in all workers together; further ones share one series whose labels are all `overflow`. */
  cardinalityLimit: z.int().min(1).max(1_000_000).default(10_000),
})

export const prometheusConfig = z.strictObject({
  metrics: z.array(metric).max(1000).default([]),
  /** Names, labels and numbers written as Mixer's adapter wrote them. */
  mixerText: z.boolean().default(false),
  /** What all series of all workers may take when they are scraped; further label sets are counted as `overflow`. */
  maxBytes: z
    .int()
    .min(1024)
    .default(128 * 1024 * 1024),
  metricsExpirationPolicy: z
    .strictObject({
      /** Series that nothing has changed for this long are removed. */
      metricsExpiryDuration: goDuration({ minMs: 1 }),
      /** Default: half of the expiry. */
      expiryCheckIntervalDuration: goDuration({ minMs: 1 }).optional(),
    })
    .optional(),
})

export type PrometheusConfig = z.output<typeof prometheusConfig>
export type MetricConfig = PrometheusConfig['metrics'][number]
