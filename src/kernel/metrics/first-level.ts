// Metrics of whoever asks nodes and keeps their answers: sidecars, and programs that use the library.

import { counter, gauge } from './define.ts'

export const FIRST_LEVEL_CHECKS_TOTAL = counter({
  name: 'first_level_checks_total',
  unit: 'checks',
  help: 'Checks by who answered them: kept answers, a node, kept answers beyond their life because no node did, or nobody.',
  labels: { answer: ['kept', 'node', 'stale', 'none'] },
})

export const FIRST_LEVEL_NOT_KEPT_TOTAL = counter({
  name: 'first_level_not_kept_total',
  unit: 'answers',
  help: 'Answers of nodes that were not kept, by reason: their life, nothing said of what they depended on, another outcome here, or too large.',
  labels: { reason: ['life', 'shape', 'mismatch', 'too_large', 'too_many_reads'] },
})

export const FIRST_LEVEL_RECOMMENDED_ANSWERS = gauge({
  name: 'first_level_recommended_answers',
  unit: 'answers',
  merge: 'max',
  help: 'Answers that should be kept (--l1-entries), as a node says by what was looked up; 0 before it is known.',
})

export const FIRST_LEVEL_EVICTED_TOTAL = counter({
  name: 'first_level_evicted_total',
  unit: 'answers',
  help: 'Kept answers that were dropped to make room.',
})

export const FIRST_LEVEL_REFRESHED_TOTAL = counter({
  name: 'first_level_refreshed_total',
  unit: 'checks',
  help: 'Checks asked of nodes in the background, before a kept answer ended or what it had paid for was used up.',
  labels: { outcome: ['kept', 'not_kept', 'failed', 'over_budget'] },
})

export const FIRST_LEVEL_RETURNED_USES_TOTAL = counter({
  name: 'first_level_returned_uses_total',
  unit: 'uses',
  help: 'Uses that were paid for ahead of need, and given back.',
})

export const FIRST_LEVEL_NODE_FAULTS_TOTAL = counter({
  name: 'first_level_node_faults_total',
  unit: 'connections',
  help: 'Connections, streams and calls that were ended because a node sent what cannot be read, or too much at once.',
})

export const FIRST_LEVEL_ANSWERS = gauge({
  name: 'first_level_answers',
  unit: 'answers',
  merge: 'sum',
  help: 'Answers that are kept.',
})

export const FIRST_LEVEL_BYTES = gauge({
  name: 'first_level_bytes',
  unit: 'bytes',
  merge: 'sum',
  help: 'Bytes of the answers that are kept with all that they are found by, estimated.',
})

export const FIRST_LEVEL_NODES = gauge({
  name: 'first_level_nodes',
  unit: 'nodes',
  merge: 'max',
  help: 'Nodes that may be asked, by state: all that are known, and those that can be heard now, which are the ones in use.',
  labels: { state: ['known', 'heard'] },
})
