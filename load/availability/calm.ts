// Many checks without an outage, to bound how often one fails then.

import { Histogram } from '../kit/histogram.ts'
import { answered, unanswered } from '../kit/load.ts'
import { runLoad } from '../kit/run-load.ts'
import type { Cluster } from '../statistics.ts'
import type { Arm } from './arms.ts'

export interface CalmFigures extends Cluster {
  readonly wrong: number
  readonly latency: { readonly p50: number; readonly p99: number }
  readonly lateP99: number
  /** Why checks had no answer, and how often. */
  readonly reasons: Readonly<Record<string, number>>
}

export interface CalmPart {
  readonly keys: number
  readonly perSecond: number
  readonly seconds: number
  readonly seed: number
}

/** Who waits longer has no decision. */
const TIMEOUT_MS = 1_000

/** Asks an arm over ext_authz, each key once before. */
export async function runCalm({ doors }: Arm, { keys, perSecond, seconds, seed }: CalmPart): Promise<CalmFigures> {
  const result = await runLoad({
    parts: doors.map((address) => ({ door: 'ext_authz', address, share: 1 })),
    request: 'bare',
    keys: { count: keys, zipf: 1 },
    pace: { kind: 'open', phases: [{ from: perSecond, to: perSecond, seconds }] },
    settleSeconds: 0,
    connections: 4,
    timeoutMs: TIMEOUT_MS,
    seed,
    decides: true,
    fill: true,
    pids: [],
  })
  const latency = Histogram.of(result.latency)
  const ms = (micros: number) => micros / 1_000
  return {
    requests: answered(result) + unanswered(result),
    failures: unanswered(result),
    wrong: result.counts.wrong,
    latency: { p50: ms(latency.quantile(0.5)), p99: ms(latency.quantile(0.99)) },
    lateP99: ms(Histogram.of(result.late).quantile(0.99)),
    reasons: result.reasons,
  }
}
