// Metrics of quotas that all nodes share.

import { counter, gauge } from './define.ts'
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
  help: 'Calls of Redis for limits: charges, amounts ahead of need, amounts given back, and places of requests that have ended',
  labels: { handler: HANDLER, why: ['charge', 'ahead', 'back', 'settle', 'leave'] },
})

export const QUOTA_OVERSHOOT_TOTAL = counter({
  name: 'quota_overshoot_total',
  unit: 'units of the limit',
  help: 'What nodes had granted beyond limits while Redis was away, found when they charged it afterwards',
  labels: { handler: HANDLER },
})

export const QUOTA_ENDED_TOTAL = counter({
  name: 'quota_ended_total',
  unit: 'places',
  help:
    'Places in flight that reports say have ended: given back; not there (denied, expired, reported before); without an id or ' +
    'dimensions in the report; unanswered. And records of reports that nobody looked at for this: too many came (dropped), or ' +
    'they cannot be read',
  labels: { outcome: ['given_back', 'not_there', 'not_evaluated', 'failed', 'dropped', 'unreadable'] },
})

export const QUOTA_HELD_OVERSHOOT_TOTAL = counter({
  name: 'quota_held_overshoot_total',
  unit: 'units of the limit',
  help:
    'What nodes granted beyond limits, at most, since they held amounts ahead of need (accuracy): what an exact limit behind ' +
    'them would have refused',
  labels: { handler: HANDLER },
})

const DOMAIN = 'the domain of rate limits'
const DESCRIPTOR = 'keys and values of the limit, as they are configured, or as they came where the config says so'

export const RATE_LIMIT_HITS_TOTAL = counter({
  name: 'rate_limit_hits_total',
  unit: 'hits',
  help: 'Hits of rate limits by descriptors: within the limit, over it, or over it and let pass (shadow)',
  labels: { domain: DOMAIN, descriptor: DESCRIPTOR, outcome: ['within', 'over', 'shadow'] },
})

export const RATE_LIMIT_NEAR_HITS_TOTAL = counter({
  name: 'rate_limit_near_hits_total',
  unit: 'hits',
  help: 'Of the hits within limits, those that took the last fifth',
  labels: { domain: DOMAIN, descriptor: DESCRIPTOR },
})

export const RATE_LIMIT_UNKNOWN_DOMAINS_TOTAL = counter({
  name: 'rate_limit_unknown_domains_total',
  unit: 'calls',
  help: 'Calls for a domain without any config, which nothing limits',
})

export const RATE_LIMIT_REMEMBERED_TOTAL = counter({
  name: 'rate_limit_remembered_total',
  unit: 'demands',
  help: 'Demands that a sidecar refused without asking a node, which had refused the same one just before.',
})

export const RATE_LIMIT_DOMAINS = gauge({
  name: 'rate_limit_domains',
  unit: 'domains',
  merge: 'max',
  help: 'Domains of rate limits that are served, and domains or files that have errors',
  labels: { state: ['served', 'quarantined'] },
})

export const RATE_LIMIT_QUOTA_PROXIES = gauge({
  name: 'rate_limit_quota_proxies',
  unit: 'streams',
  help: 'Proxies that are assigned quotas (RLQS)',
})

export const RATE_LIMIT_QUOTA_BUCKETS = gauge({
  name: 'rate_limit_quota_buckets',
  unit: 'buckets',
  help: 'Buckets of these proxies, each proxy by itself',
})

export const RATE_LIMIT_QUOTA_ACTIONS_TOTAL = counter({
  name: 'rate_limit_quota_actions_total',
  unit: 'actions',
  help: 'What proxies were told of buckets: how many requests, how many a second, all, none, or to forget the bucket',
  labels: { action: ['requests', 'rate', 'allow', 'deny', 'abandon'] },
})

export const RATE_LIMIT_QUOTA_UNASSIGNED_TOTAL = counter({
  name: 'rate_limit_quota_unassigned_total',
  unit: 'requests',
  help: 'What proxies let pass beyond what they were assigned: before the first assignment, after one has expired, or on the way',
})

export const RATE_LIMIT_QUOTA_REFUSED_TOTAL = counter({
  name: 'rate_limit_quota_refused_total',
  unit: 'refusals',
  help: 'What got no assignment: too many proxies or buckets, a bucket id that is empty or too long, a limit that is not known for now',
  labels: { reason: ['proxies', 'buckets', 'id', 'unknown'] },
})

export const POOL_QUOTAS_TOTAL = counter({
  name: 'pool_quotas_total',
  unit: 'quotas',
  help:
    'Quotas that callers named, by who decided: what was leased ahead of need, a refusal of a moment ago, a node, or what was ' +
    'decided before under the same deduplication id',
  labels: { by: ['pool_granted', 'pool_refused', 'node', 'repeated'] },
})

export const POOL_LEASES_TOTAL = counter({
  name: 'pool_leases_total',
  unit: 'leases',
  help: 'Amounts of quotas that nodes were asked for ahead of need: granted in full, or less, or no answer',
  labels: { outcome: ['full', 'short', 'failed'] },
})
