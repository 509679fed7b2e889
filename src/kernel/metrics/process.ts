// Metrics of a process: what it is, its event loop, its Redis, its config.

import { counter, gauge } from './define.ts'

/** What a Redis is for; `revocations` where it has them alone, `config` where versions of the config are followed. */
/** `handlers`: those that handlers name, of which the last one that changed is told of. */
const REDIS_ROLES = ['cache', 'queue', 'revocations', 'config', 'handlers'] as const
export type RedisRole = (typeof REDIS_ROLES)[number]

export const BUILD_INFO = gauge({
  name: 'build_info',
  unit: '1',
  merge: 'max',
  help: 'What runs here; always 1.',
  labels: {
    version: 'version of Intermix',
    role: '`node`, `worker` or `all`',
    node_version: 'version of Node.js',
  },
})

export const LOOP_STALLS_TOTAL = counter({
  name: 'loop_stalls_total',
  unit: 'stalls',
  help: 'Times that the event loop stood still for 25 ms or longer.',
})

export const REDIS_CALLS_TOTAL = counter({
  name: 'redis_calls_total',
  unit: 'calls',
  help: 'Redis operations by outcome; stalled: this process stood still; refused: Redis is known to be away.',
  labels: { role: REDIS_ROLES, outcome: ['ok', 'failed', 'timeout', 'stalled', 'refused'] },
})

export const REDIS_UP = gauge({
  name: 'redis_up',
  unit: '0 or 1',
  merge: 'min',
  help: 'Whether Redis can be used.',
  labels: { role: REDIS_ROLES },
})

export const REDIS_REPLICATED_TOTAL = counter({
  name: 'redis_replicated_total',
  unit: 'waits',
  help: 'Waits for replicas, for what is promised as replicated, by outcome; failed: nobody could tell. What is waited for at the same time shares a wait, and counts each.',
  labels: { role: REDIS_ROLES, outcome: ['replicated', 'too-few', 'failed'] },
})

export const REDIS_REPLICAS = gauge({
  name: 'redis_replicas',
  unit: 'replicas',
  merge: 'min',
  help: 'Replicas of the Redis server that was last asked to wait for them; only where something is promised as replicated.',
  labels: { role: REDIS_ROLES },
})

export const REDIS_STATE_CHANGES_TOTAL = counter({
  name: 'redis_state_changes_total',
  unit: 'changes',
  help: 'Times that Redis went down or came up after the first time: many of them, where it comes and goes.',
  labels: { role: REDIS_ROLES, state: ['up', 'down'] },
})

export const CONFIG_LOADS_TOTAL = counter({
  name: 'config_loads_total',
  unit: 'loads',
  help: 'Attempts to load a changed config, by outcome (applied, unchanged, rejected, unreadable, failed).',
  labels: { outcome: ['applied', 'unchanged', 'rejected', 'unreadable', 'failed'] },
})

export const CONFIG_LAST_RELOAD_OK = gauge({
  name: 'config_last_reload_ok',
  unit: '0 or 1',
  merge: 'min',
  help: '1 when the last config that was seen is served, 0 when an older one is because that one could not be used.',
})

export const CONFIG_APPLY_FAILURES_TOTAL = counter({
  name: 'config_apply_failures_total',
  unit: 'configs',
  help: 'Good configs that could not be taken into use; the one before is served on.',
})

const PROCESS_STATES = ['serving', 'starting', 'silent', 'away'] as const

export const NODE_PROCESSES = gauge({
  name: 'node_processes',
  unit: 'processes',
  merge: 'sum',
  help: 'Processes of a node with several, by state; silent: does not answer, away: has ended and will be started again.',
  labels: { state: PROCESS_STATES },
})

export const NODE_PROCESSES_MEASURED = gauge({
  name: 'node_processes_measured',
  unit: 'processes',
  merge: 'sum',
  help: 'Processes whose gauges are in this answer; of the others their last counts are, and no gauges.',
})

export const NODE_PROCESS_ENDS_TOTAL = counter({
  name: 'node_process_ends_total',
  unit: 'processes',
  help: 'Processes of a node that ended although nobody had asked the node to; start: before it served, silent: it did not answer and was killed.',
  labels: { reason: ['crash', 'start', 'silent', 'signal'] },
})

export const NODE_CONFIGS = gauge({
  name: 'node_configs',
  unit: 'configs',
  merge: 'sum',
  help: 'Different configs that the processes of a node serve; 1, but for a moment after a change.',
})
