// The front door for calls of reports at a sidecar (gRPC): their callers hold records until somebody has taken them, as the
// sidecar itself does, so a node takes them, and its answer is theirs. A call passes as the bytes that it is.

import type { Nodes } from '../client/nodes/nodes.ts'
import type { Clock, Logger, Meter } from '../kernel/ports.ts'
import { Code } from '../kernel/status.ts'
import { timeLeft } from '../server/deadline.ts'
import { createDoorMetrics } from '../server/door-metrics.ts'
import { createFailedCalls } from '../server/failed-calls.ts'
import type { GrpcCall, GrpcReply, GrpcService } from '../server/grpc-service.ts'
import { readReportCall } from '../wire/reports/report-call.ts'

const NAME = 'intermix.v1.Reports'
const PATH = `/${NAME}/Report`
const DOOR = 'sidecar_report'

interface PassedReportCallsOptions {
  readonly nodes: Pick<Nodes, 'call'>
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  /** How long a call may take whose caller sets no deadline, in ms. */
  readonly defaultTimeoutMs: number
}

/** The Reports service of the nodes. A call that comes again, by its id, goes to the same node, and counts once. */
export function passedReportCalls(options: PassedReportCallsOptions): GrpcService {
  const { nodes, clock, defaultTimeoutMs } = options
  const metrics = createDoorMetrics({ ...options, door: DOOR })
  const fail = createFailedCalls({
    ...options,
    door: DOOR,
    metrics,
    message: 'a call of reports could not be passed on',
  })
  const pass = async (message: Uint8Array, { deadline, peer }: GrpcCall): Promise<GrpcReply> => {
    const startedAt = clock.monotonic()
    try {
      const timeoutMs = timeLeft(deadline, clock, defaultTimeoutMs)
      const { id } = readReportCall(message)
      const reply = await nodes.call(PATH, message, { affinity: id, tenant: '', timeoutMs })
      metrics.finished(Code.OK, startedAt)
      return reply
    } catch (caught) {
      return fail(caught, startedAt, peer)
    }
  }
  return {
    name: NAME,
    methods: [{ kind: 'unary', path: PATH, door: { name: DOOR, priority: 'report' }, answer: pass }],
  }
}
