// Metrics of a process: what it is, its event loop, its Redis, its config.

import { counter, gauge } from './define.ts'

const REDIS_ROLES = ['cache', 'queue'] as const

export const BUILD_INFO = gauge({
  name: 'build_info',
  unit: '1',
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
  help: 'Whether Redis can be used.',
  labels: { role: REDIS_ROLES },
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
  help: '1 when the last config that was seen is served, 0 when an older one is because that one could not be used.',
})

export const CONFIG_APPLY_FAILURES_TOTAL = counter({
  name: 'config_apply_failures_total',
  unit: 'configs',
  help: 'Good configs that could not be taken into use; the one before is served on.',
})
