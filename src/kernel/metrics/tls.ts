// Metrics of TLS on listeners: certificates, and who was not let in.

import { counter, gauge } from './define.ts'

const LISTENERS = ['grpc', 'http', 'admin', 'prometheus'] as const

export const TLS_LOADS_TOTAL = counter({
  name: 'tls_loads_total',
  unit: 'loads',
  help: 'Attempts to take changed certificates into use, by listener and outcome; after a failed one the last good ones serve on.',
  labels: { listener: LISTENERS, outcome: ['applied', 'failed'] },
})

export const TLS_CERTIFICATE_END_SECONDS = gauge({
  name: 'tls_certificate_end_seconds',
  unit: 'seconds',
  merge: 'min',
  help: 'When the certificate ends that a listener shows, in seconds since 1970.',
  labels: { listener: LISTENERS },
})

export const TLS_HANDSHAKES_REFUSED_TOTAL = counter({
  name: 'tls_handshakes_refused_total',
  unit: 'connections',
  help: 'Connections to which no TLS came about, by listener and reason; certificate: the client showed none, or none of our authorities; name: it has none of the names that are let in; slow: it took too long; limit: too many were at it at once, and this one had taken longest; gone: it ended the connection; failed: anything else, as where it speaks no TLS.',
  labels: { listener: LISTENERS, reason: ['certificate', 'name', 'slow', 'limit', 'gone', 'failed'] },
})
