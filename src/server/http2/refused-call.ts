// Calls that end before their method hears of them, for a reason that is theirs.

import type { GRPC_CALLS_REFUSED_TOTAL } from '../../kernel/metrics/grpc.ts'
import { GrpcFailure } from '../grpc-service.ts'

/** As they are counted. */
export type RefusalReason = (typeof GRPC_CALLS_REFUSED_TOTAL)['labels']['reason'][number]

/** What the caller is told, and why. */
export class RefusedCall extends GrpcFailure {
  readonly reason: RefusalReason

  constructor(reason: RefusalReason, code: number, details: string) {
    super(code, details)
    this.reason = reason
  }
}
