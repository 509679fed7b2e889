// All metrics of this program, by what they are about.

import * as cache from './cache.ts'
import * as checks from './checks.ts'
import * as doors from './doors.ts'
import * as firstLevel from './first-level.ts'
import * as grpc from './grpc.ts'
import * as handlers from './handlers.ts'
import type { Metric } from './metric.ts'
import * as process from './process.ts'
import * as quotas from './quotas.ts'
import * as reportBuffer from './report-buffer.ts'
import * as reports from './reports.ts'
import * as rollout from './rollout.ts'
import * as tls from './tls.ts'

/** One part of the catalogue. Its metrics are keyed by the name under which code imports them. */
export interface CatalogueArea {
  readonly title: string
  readonly metrics: Readonly<Record<string, Metric>>
}

/** The catalogue; its areas are documented in this order. */
export const CATALOGUE: readonly CatalogueArea[] = [
  { title: 'Checks', metrics: checks },
  { title: 'Handlers', metrics: handlers },
  { title: 'Cache and revocations', metrics: cache },
  { title: 'First-level cache', metrics: firstLevel },
  { title: 'Quotas', metrics: quotas },
  { title: 'Reports', metrics: reports },
  { title: 'Reports on their way to nodes', metrics: reportBuffer },
  { title: 'Front doors', metrics: doors },
  { title: 'gRPC transport', metrics: grpc },
  { title: 'TLS', metrics: tls },
  { title: 'Config rollouts', metrics: rollout },
  { title: 'Process', metrics: process },
]
