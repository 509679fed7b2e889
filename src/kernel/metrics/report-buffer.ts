// Metrics of whoever gathers reports for nodes: sidecars, and programs that use the library.

import { counter, gauge } from './define.ts'

export const REPORT_BUFFER_ACCEPTED_TOTAL = counter({
  name: 'report_buffer_accepted_total',
  unit: 'records',
  help: 'Records that the buffer for nodes took.',
})

export const REPORT_BUFFER_SENT_TOTAL = counter({
  name: 'report_buffer_sent_total',
  unit: 'records',
  help: 'Records of the buffer that a node has taken.',
})

export const REPORT_BUFFER_DROPPED_TOTAL = counter({
  name: 'report_buffer_dropped_total',
  unit: 'records',
  help: 'Records that the buffer had taken and dropped: older ones that gave way to newer ones (full), what a node refused for good, and what no node had taken at the end. But for the last, nodes are told.',
  labels: { reason: ['full', 'refused', 'shutdown'] },
})

export const REPORT_BUFFER_REFUSED_TOTAL = counter({
  name: 'report_buffer_refused_total',
  unit: 'records',
  help: 'Records that the buffer did not take, by reason. Who waits for an answer is refused rather than that older records give way.',
  labels: { reason: ['full', 'invalid', 'closed', 'node'] },
})

export const REPORT_BUFFER_HELD = gauge({
  name: 'report_buffer_held',
  unit: 'records',
  merge: 'sum',
  help: 'Records in the buffer for nodes.',
})

export const REPORT_BUFFER_BYTES = gauge({
  name: 'report_buffer_bytes',
  unit: 'bytes',
  merge: 'sum',
  help: 'What the buffer for nodes holds; what waits for longer is compressed.',
})

export const REPORT_BUFFER_CALLS_TOTAL = counter({
  name: 'report_buffer_calls_total',
  unit: 'calls',
  help: 'Calls of reports to nodes, each try, by outcome: taken, to be tried again, or refused for good.',
  labels: { outcome: ['taken', 'failed', 'refused'] },
})
