// Metrics of quotas that all nodes share.

import { counter } from './define.ts'
import { HANDLER } from './labels.ts'

export const QUOTA_CHARGES_TOTAL = counter({
  name: 'quota_charges_total',
  unit: 'charges',
  help: 'Charges of limits, by what became of them (near: granted, with less than a fifth of the limit left) and who decided',
  labels: {
    handler: HANDLER,
    outcome: ['granted', 'near', 'exceeded', 'failed'],
    by: ['redis', 'lease', 'memory', 'share'],
  },
})

export const QUOTA_REDIS_CALLS_TOTAL = counter({
  name: 'quota_redis_calls_total',
  unit: 'calls',
  help: 'Calls of Redis for limits: charges, amounts ahead of need, and amounts given back',
  labels: { handler: HANDLER, why: ['charge', 'ahead', 'back', 'settle'] },
})

export const QUOTA_OVERSHOOT_TOTAL = counter({
  name: 'quota_overshoot_total',
  unit: 'units of the limit',
  help: 'What nodes had granted beyond limits while Redis was away, found when they charged it afterwards',
  labels: { handler: HANDLER },
})
