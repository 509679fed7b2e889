// Metrics of front doors: calls, what is refused, and what single protocols count.

import { counter, gauge, histogram } from './define.ts'
import { DOOR } from './labels.ts'

export const SERVER_REQUESTS_TOTAL = counter({
  name: 'server_requests_total',
  unit: 'calls',
  help: 'Calls that a front door answered, by status of the answer.',
  labels: { door: DOOR, code: 'name of a google.rpc.Code' },
})

export const SERVER_REQUEST_DURATION_SECONDS = histogram({
  name: 'server_request_duration_seconds',
  unit: 'seconds',
  help: 'Time from a decoded call to its answer.',
  labels: { door: DOOR },
  buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
})

export const REQUESTS_REFUSED_TOTAL = counter({
  name: 'requests_refused_total',
  unit: 'requests',
  help: 'Requests that a front door refused before any policy was asked, by reason.',
  labels: {
    door: DOOR,
    reason: [
      'undescribed',
      'untrusted',
      'contradictory',
      'ambiguous',
      'repeated',
      'ill-formed',
      'too-large',
      'claimed',
      'unknown-attribute',
      'invalid-value',
      'invalid',
    ],
  },
})

export const SHED_TOTAL = counter({
  name: 'shed_total',
  unit: 'calls',
  help: 'Calls refused without looking at them, by door and reason.',
  labels: { door: DOOR, reason: ['overload', 'in_flight', 'deadline'] },
})

export const OVERLOADED = gauge({
  name: 'overloaded',
  unit: '0 or 1',
  merge: 'max',
  help: '1 while a queue is standing and calls are shed.',
})

export const HTTP_REPORT_RECORDS_TOTAL = counter({
  name: 'http_report_records_total',
  unit: 'records',
  help: 'Records that POST /v1/report accepted.',
})

export const ACCESS_LOG_ENTRIES_TOTAL = counter({
  name: 'access_log_entries_total',
  unit: 'entries',
  help: 'Access log entries that proxies sent.',
})

export const ACCESS_LOG_LOST_TOTAL = counter({
  name: 'access_log_lost_total',
  unit: 'entries',
  help: 'Access log entries that were read and not taken: too large for the node, or it had no room until their stream was over.',
})

export const ACCESS_LOG_MALFORMED_TOTAL = counter({
  name: 'access_log_malformed_total',
  unit: 'streams',
  help: 'Access log streams ended because a message could not be read.',
})

export const ACCESS_LOG_PAUSES_TOTAL = counter({
  name: 'access_log_pauses_total',
  unit: 'pauses',
  help: 'Times that an access log stream was not read on for a moment, since checks come first or the node has no room for its reports.',
})

export const BATCH_STREAMS = gauge({
  name: 'batch_streams',
  unit: 'streams',
  help: 'Batch streams that are open: sidecars that ask this node.',
})

export const BATCH_MESSAGES_TOTAL = counter({
  name: 'batch_messages_total',
  unit: 'messages',
  help: 'Batches of checks that were read; their checks count in `server_requests_total`.',
})

export const BATCH_PAUSES_TOTAL = counter({
  name: 'batch_pauses_total',
  unit: 'pauses',
  help: 'Times that a batch stream was not read on: its answers were not taken, too many checks waited, or one batch took long.',
})

export const BATCH_WORDS_BYTES = gauge({
  name: 'batch_words_bytes',
  unit: 'bytes',
  help: 'What the lasting words of all batch streams take of memory, roughly.',
})

export const BATCH_STREAMS_ENDED_TOTAL = counter({
  name: 'batch_streams_ended_total',
  unit: 'streams',
  help: 'Batch streams that were ended since the words of all took too much memory, those with the most first.',
})

export const MIXER_IGNORED_ATTRIBUTES_TOTAL = counter({
  name: 'mixer_ignored_attributes_total',
  unit: 'attributes',
  help: 'Attributes in Mixer checks that count as absent, by reason.',
  labels: { reason: ['undefined-index', 'type-mismatch'] },
})

export const MIXER_UNSHAREABLE_ANSWERS_TOTAL = counter({
  name: 'mixer_unshareable_answers_total',
  unit: 'answers',
  help: 'Valid answers that Mixer clients may not reuse, since the protocol cannot say what they depended on.',
})

export const SIDECAR_RECORDS_TOTAL = counter({
  name: 'sidecar_records_total',
  unit: 'records',
  help: 'Records in calls of sidecars and libraries that were taken, those of calls that came once more included.',
})

export const SIDECAR_UNKNOWN_RECORDS_TOTAL = counter({
  name: 'sidecar_unknown_records_total',
  unit: 'records',
  help: 'Those of `sidecar_records_total` in a format that this node does not know: workers of a newer version read them, others make dead letters of them.',
})

export const SIDECAR_DROPPED_TOTAL = counter({
  name: 'sidecar_dropped_total',
  unit: 'records',
  help: 'Records that sidecars and libraries had to drop, by reason, as their calls tell, those of calls that came once more included. What counts once is `report_instances_total` of the handler `fan-out`.',
  labels: { reason: ['other', 'full', 'refused'] },
})
