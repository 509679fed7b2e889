// Metrics of a process that follows config rollouts.

import { counter, gauge } from './define.ts'

export const ROLLOUT_FOLLOWED = gauge({
  name: 'rollout_followed',
  unit: '0 or 1',
  merge: 'min',
  help: 'Whether the state of config rollouts could be read the last time; 0: what runs is kept.',
})

export const ROLLOUT_RUNS_CANDIDATE = gauge({
  name: 'rollout_runs_candidate',
  unit: '0 or 1',
  merge: 'max',
  help: 'Whether requests are answered by a candidate that is being rolled out.',
})

export const ROLLOUT_DECIDED_BY_STABLE_TOTAL = counter({
  name: 'rollout_decided_by_stable_total',
  unit: 'checks',
  help: 'Checks that a candidate on trial could not decide, answered by the stable version as other nodes answer them.',
})

export const ROLLOUT_CACHE_USABLE = gauge({
  name: 'rollout_cache_usable',
  unit: '0 or 1',
  merge: 'min',
  help: 'Whether --config-cache could be written the last time; 0: a restart will not know what this process has learnt, and may need Redis.',
})

export const ROLLOUT_VERSIONS_TOTAL = counter({
  name: 'rollout_versions_total',
  unit: 'versions',
  help: 'Config versions by what became of them here; proved: served well by for a minute; bad: voted against.',
  labels: { outcome: ['taken', 'proved', 'bad'] },
})

export const ROLLOUT_ANNOUNCED_TOTAL = counter({
  name: 'rollout_announced_total',
  unit: 'changes',
  help: 'Changes of config rollouts that this process told the webhook; failed: tries without an answer of success; refused: given up, since it said that it will never take one.',
  labels: { outcome: ['taken', 'failed', 'refused'] },
})

export const ROLLOUT_TRANSITIONS_TOTAL = counter({
  name: 'rollout_transitions_total',
  unit: 'changes',
  help: 'Changes of config rollouts that this process made as their controller; what operators do is in the audit log, and told by the webhook.',
  labels: {
    event: [
      'begin-preflight',
      'pass-preflight',
      'fail-preflight',
      'choose-first',
      'choose-cohort',
      'begin-again',
      'advance',
      'fail',
      'finish-rollback',
      'pause',
      'resume',
      'promote',
      'abort',
      'rollback',
      'publish',
    ],
  },
})

export const ROLLOUT_SHADOWED_TOTAL = counter({
  name: 'rollout_shadowed_total',
  unit: 'requests',
  help: 'Requests that a candidate was to judge without effects; incomparable: it is not known what a handler would have said; skipped: there was no time.',
  labels: { outcome: ['same', 'flipped', 'incomparable', 'skipped', 'failed'] },
})
