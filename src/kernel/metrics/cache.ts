// Metrics of the cache of verdicts and of revocations.

import { counter, gauge } from './define.ts'
import { SIGNATURE_FAULTS, SIGNED_KINDS } from '../mesh-signatures.ts'
import { HANDLER } from './labels.ts'

const GRAINS = ['answer', 'verdict'] as const

export const CACHE_VERDICTS_TOTAL = counter({
  name: 'cache_verdicts_total',
  unit: 'verdicts',
  help: 'Verdicts of handlers that call a backend, by the tier that gave them; none: there was no verdict.',
  labels: { handler: HANDLER, tier: ['local', 'mesh', 'backend', 'stale', 'none'] },
})

export const CACHE_COALESCED_TOTAL = counter({
  name: 'cache_coalesced_total',
  unit: 'checks',
  help: 'Checks that joined a call that was already under way.',
  labels: { handler: HANDLER },
})

export const CACHE_REFRESHED_TOTAL = counter({
  name: 'cache_refreshed_total',
  unit: 'verdicts',
  help: 'Verdicts refreshed in the background before they were needed.',
  labels: { handler: HANDLER },
})

export const CACHE_REFRESH_DROPPED_TOTAL = counter({
  name: 'cache_refresh_dropped_total',
  unit: 'verdicts',
  help: 'Verdicts that are not refreshed ahead of need because too many are watched already.',
  labels: { handler: HANDLER },
})

export const CACHE_REVOKED_TOTAL = counter({
  name: 'cache_revoked_total',
  unit: 'verdicts',
  help: 'Cached verdicts that were not served because they had been revoked.',
  labels: { handler: HANDLER },
})

export const CACHE_LEASE_WAITS_TOTAL = counter({
  name: 'cache_lease_waits_total',
  unit: 'fetches',
  help: 'Fetches that waited for another node to fetch the same verdict.',
  labels: { handler: HANDLER },
})

export const CACHE_REFUSED_TOTAL = counter({
  name: 'cache_refused_total',
  unit: 'entries',
  help: 'Entries that a cache did not take, by reason: too large for it, or too many reads behind an answer.',
  labels: { cache: ['answer', 'verdict', 'mesh'], reason: ['too_large', 'too_many_reads'] },
})

export const CACHE_EVICTED_TOTAL = counter({
  name: 'cache_evicted_total',
  unit: 'entries',
  help: 'Entries that were dropped to make room, by grain: whole answers or single verdicts.',
  labels: { grain: GRAINS },
})

export const CACHE_ENTRIES = gauge({
  name: 'cache_entries',
  unit: 'entries',
  merge: 'sum',
  help: 'Entries of the local tier.',
  labels: { grain: GRAINS },
})

export const CACHE_BYTES = gauge({
  name: 'cache_bytes',
  unit: 'bytes',
  merge: 'sum',
  help: 'Bytes of the local tier with all that it is found by, estimated.',
  labels: { grain: GRAINS },
})

/** `answers`, or the full name of a handler. */
const PART = 'answers, or the full name of a handler'

export const CACHE_TUNED_BYTES = gauge({
  name: 'cache_tuned_bytes',
  unit: 'bytes',
  merge: 'sum',
  help: 'Memory that a cache may have of what caches share, and what it should have by what it saves there.',
  labels: { cache: PART, size: ['present', 'recommended'] },
})

export const CACHE_LOOKUPS_PER_SECOND = gauge({
  name: 'cache_lookups_per_second',
  unit: 'look-ups per second',
  merge: 'sum',
  help: 'Look-ups of a cache, of those whose outcome may be kept; those of the last minutes count most.',
  labels: { cache: PART },
})

export const CACHE_HITS_PER_SECOND = gauge({
  name: 'cache_hits_per_second',
  unit: 'hits per second',
  merge: 'sum',
  help: 'Look-ups that a cache finds, or would find with so many times its memory: by cache_lookups_per_second, the hit ratio (and the miss-ratio curve) of all processes and nodes that are summed.',
  labels: { cache: PART, memory: ['0.25', '0.5', '1', '1.6', '4'] },
})

export const CACHE_HITS_PER_MIB = gauge({
  name: 'cache_hits_per_mib',
  unit: 'hits per second',
  merge: 'sum',
  help: 'Further hits a second that one more MiB of memory would bring.',
  labels: { cache: PART },
})

export const CACHE_SAVED_CALLS_TOTAL = counter({
  name: 'cache_saved_calls_total',
  unit: 'calls',
  help: 'Calls of backends that hits have saved.',
  labels: { cache: PART },
})

export const CACHE_SAVED_SECONDS_TOTAL = counter({
  name: 'cache_saved_seconds_total',
  unit: 'seconds',
  help: 'Waiting that hits have saved.',
  labels: { cache: PART },
})

export const CACHE_SAVED_COST_TOTAL = counter({
  name: 'cache_saved_cost_total',
  unit: 'money, in the unit of costPerCall',
  help: 'Money that calls would have cost which hits have saved.',
  labels: { cache: PART },
})

export const CACHE_MOVES_TOTAL = counter({
  name: 'cache_moves_total',
  unit: 'moves',
  help: 'Times that memory moved between caches; back: since a move had not brought what was expected.',
  labels: { kind: ['move', 'shrink', 'back'] },
})

export const CACHE_GIVEN_BACK_BYTES = gauge({
  name: 'cache_given_back_bytes',
  unit: 'bytes',
  merge: 'sum',
  help: 'Memory that caches may have by the settings and do without, since the process has little left.',
})

export const CACHE_MEMORY_STEPS_TOTAL = counter({
  name: 'cache_memory_steps_total',
  unit: 'steps',
  help: 'Times that caches gave memory back because the process had little left, and took some again.',
  labels: { kind: ['given_back', 'taken_again'] },
})

export const CACHE_CALLER_SAMPLES_TOTAL = counter({
  name: 'cache_caller_samples_total',
  unit: 'samples',
  help: 'Samples in which callers that keep answers said what they would find at other sizes.',
})

export const CACHE_CALLER_ENTRIES = gauge({
  name: 'cache_caller_entries',
  unit: 'answers',
  merge: 'sum',
  help: 'Answers that callers of this node keep at most, of the last 1,000 that said so within three minutes, and that they should keep.',
  labels: { size: ['present', 'recommended'] },
})

export const CACHE_SHAPES = gauge({
  name: 'cache_shapes',
  unit: 'shapes',
  help: 'Ways in which the evaluations of kept answers went: as many as answers where rules find no index.',
})

export const CACHE_MESH_GARBAGE_TOTAL = counter({
  name: 'cache_mesh_garbage_total',
  unit: 'entries',
  help: 'Entries of the mesh tier that were not believed, by reason: taken for a miss and removed.',
  labels: { reason: 'what was wrong' },
})

export const MESH_REFUSED_TOTAL = counter({
  name: 'mesh_refused_total',
  unit: 'things',
  help: 'What nodes found in Redis and did not believe because of --mesh-key, by reason: verdicts, revocations and their log, addresses of nodes.',
  labels: { kind: SIGNED_KINDS, reason: SIGNATURE_FAULTS },
})

export const MESH_KEYS = gauge({
  name: 'mesh_keys',
  unit: 'keys',
  merge: 'min',
  help: 'Keys in the file of --mesh-key, as they are in use: two while they are exchanged.',
  labels: {},
})

export const CACHE_UNPROTECTED_SHARE = gauge({
  name: 'cache_unprotected_share',
  unit: 'share, 0 to 1',
  merge: 'max',
  help: 'M(W): share of requests whose verdict would be too old to serve if the backend died now (5 min window).',
  labels: { handler: HANDLER },
})

export const CACHE_PREDICTED_NINES = gauge({
  name: 'cache_predicted_nines',
  unit: 'nines',
  merge: 'min',
  help: 'Nines of availability that M(W) predicts for a backend at 99.9 %.',
  labels: { handler: HANDLER },
})

export const CACHE_UNIQUE_KEYS = gauge({
  name: 'cache_unique_keys',
  unit: '0 or 1',
  merge: 'max',
  help: '1 for an instance whose keys are nearly all unique; its verdicts are kept out of the mesh tier.',
  labels: { handler: HANDLER, instance: 'full name of the instance' },
})

export const REVOCATIONS_IN_TOUCH = gauge({
  name: 'revocations_in_touch',
  unit: '0 or 1',
  merge: 'min',
  help: '1 while this node follows the mesh-wide revocations.',
})
