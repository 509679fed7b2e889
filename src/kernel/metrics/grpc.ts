// Metrics of the native gRPC transport: its connections, and what it refuses.

import { counter, gauge } from './define.ts'

export const GRPC_CONNECTIONS = gauge({
  name: 'grpc_connections',
  unit: 'connections',
  merge: 'sum',
  help: 'Open gRPC connections.',
})

export const GRPC_CONNECTIONS_CLOSED_TOTAL = counter({
  name: 'grpc_connections_closed_total',
  unit: 'connections',
  help: 'gRPC connections that have ended, by reason; limit: there were too many, abuse: the peer asked for too much, handshake: TLS or HTTP/2 did not begin, as with a client certificate of another authority, or HTTP/1; stalled: the peer did not read, dead: it did not answer a PING.',
  labels: {
    reason: ['peer', 'protocol', 'abuse', 'handshake', 'stalled', 'dead', 'idle', 'age', 'drain', 'limit'],
  },
})

export const GRPC_STREAMS_RESET_TOTAL = counter({
  name: 'grpc_streams_reset_total',
  unit: 'streams',
  help: 'gRPC streams that this side ended with RST_STREAM, by error; refused: too many calls on a connection.',
  labels: { error: ['protocol', 'flow-control', 'closed', 'refused', 'stalled', 'flood'] },
})

export const GRPC_CALLS_REFUSED_TOTAL = counter({
  name: 'grpc_calls_refused_total',
  unit: 'calls',
  help: 'gRPC calls that ended before their method heard of them, by reason; http: no gRPC; headers: too many; size: a message is too large; memory: too much came at once; slow: the request did not come on; message: malformed.',
  labels: { reason: ['http', 'headers', 'method', 'encoding', 'timeout', 'size', 'memory', 'slow', 'message'] },
})
