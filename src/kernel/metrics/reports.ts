// Metrics of reports: the intake's side of the ledger, the queue, the handlers' side.

import { counter, gauge } from './define.ts'
import { EVALUATION_FAILURES, HANDLER, RULE } from './labels.ts'

export const REPORTS_ACCEPTED_TOTAL = counter({
  name: 'reports_accepted_total',
  unit: 'records',
  help: 'Records that the intake took, those re-read from disk included.',
})

export const REPORTS_QUEUED_TOTAL = counter({
  name: 'reports_queued_total',
  unit: 'records',
  help: 'Records that the intake handed to the queue.',
})

export const REPORTS_STORED_TOTAL = counter({
  name: 'reports_stored_total',
  unit: 'records',
  help: 'Records written to the disk spool.',
})

export const REPORTS_HELD = gauge({
  name: 'reports_held',
  unit: 'records',
  merge: 'sum',
  help: 'Records that the intake holds in memory.',
})

export const REPORTS_SPOOLED = gauge({
  name: 'reports_spooled',
  unit: 'records',
  merge: 'sum',
  help: 'Records in the disk spool that were not handed to the queue yet.',
})

export const REPORTS_REFUSED_TOTAL = counter({
  name: 'reports_refused_total',
  unit: 'records',
  help: 'Records that the intake did not take, by reason: no room in memory, a report too large or invalid, the process ending, no queue nor disk where the door promises one, or too few replicas where it promises those (what the queue has all the same is delivered, and counted as accepted too). Access log streams try again, and count each time.',
  labels: { reason: ['full', 'too-large', 'invalid', 'closed', 'unqueued', 'unreplicated'] },
})

export const REPORTS_DROPPED_TOTAL = counter({
  name: 'reports_dropped_total',
  unit: 'records',
  help: 'Records that the intake had accepted and dropped: at its end, with neither queue nor disk to take them, or from a file of the spool that became unreadable.',
  labels: { reason: ['shutdown', 'damaged'] },
})

export const REPORTS_BACKPRESSURE = gauge({
  name: 'reports_backpressure',
  unit: '0 or 1',
  merge: 'max',
  help: 'Whether the node holds reports back because the queue or its memory is nearly full.',
})

export const REPORT_QUEUE_WAITING = gauge({
  name: 'report_queue_waiting',
  unit: 'jobs',
  merge: 'max',
  help: 'Jobs that wait in the report queue for fan-out.',
})

const QUEUE =
  '`fan-out` and the first digits of the digest of its report rules (none for reports that name no rules), or the full name of the handler; `#1`, `#2` … follow for its further shards'

export const REPORT_QUEUE_JOBS = gauge({
  name: 'report_queue_jobs',
  unit: 'jobs',
  merge: 'max',
  help: 'Jobs in a queue in Redis, as the workers that take from it last saw it: waiting, delayed until their next try, active, or given up by BullMQ.',
  labels: { queue: QUEUE, state: ['waiting', 'delayed', 'active', 'failed'] },
})

export const REPORT_QUEUE_OLDEST_SECONDS = gauge({
  name: 'report_queue_oldest_seconds',
  unit: 'seconds',
  merge: 'max',
  help: 'Age of the oldest job in a queue in Redis, as far as the ends of its lists tell.',
  labels: { queue: QUEUE },
})

export const REPORT_WORKERS_REPLACED_TOTAL = counter({
  name: 'report_workers_replaced_total',
  unit: 'workers',
  help: 'Workers of a queue that were replaced because jobs waited and they took none.',
  labels: { queue: QUEUE },
})

export const REPORT_JOBS_DAMAGED_TOTAL = counter({
  name: 'report_jobs_damaged_total',
  unit: 'jobs',
  help: 'Jobs whose data in Redis was gone or could not be read; what is left of them is a dead letter.',
  labels: { queue: QUEUE },
})

export const REPORT_DEAD_LETTERS = gauge({
  name: 'report_dead_letters',
  unit: 'dead letters',
  merge: 'max',
  help: 'Dead letters in Redis.',
})

export const REPORT_DEAD_LETTER_BYTES = gauge({
  name: 'report_dead_letter_bytes',
  unit: 'bytes',
  merge: 'max',
  help: 'Bytes of the dead letters in Redis.',
})

export const REPORT_MEMORY_USED_RATIO = gauge({
  name: 'report_memory_used_ratio',
  unit: '0 to 1',
  merge: 'max',
  help: 'Memory in use of what the Redis of the queues may use; 0 where it has no limit. Nodes hold reports back at 0.7, the fan-out stops at 0.85.',
})

export const REPORT_HANDLER_SHARE_BYTES = gauge({
  name: 'report_handler_share_bytes',
  unit: 'bytes',
  merge: 'max',
  help: 'What the batches of one handler may take in the queue now; beyond it they are dropped.',
})

export const REPORT_INSTANCES_TOTAL = counter({
  name: 'report_instances_total',
  unit: 'instances',
  help: 'Instances by handler and event: accepted, delivered, dead, taken (out of the dead letters) or dropped with the reason. Of the handler `fan-out`, records: those that sidecars had to drop are among them, and `repeated` are those that came once more because an answer was lost.',
  labels: {
    handler: HANDLER,
    event: '`accepted`, `delivered`, `dead`, `taken`, `repeated` or `dropped:` and the reason',
  },
})

export const REPORT_LEDGER_MISMATCH = gauge({
  name: 'report_ledger_mismatch',
  unit: 'records',
  merge: 'max',
  help: 'Records that are missing without a reason, at least, by where they were last seen; 0 where the ledger adds up. `intermix ledger` names them.',
  labels: { where: ['node', 'queue', 'handler'] },
})

export const REPORT_TRIES_FAILED_TOTAL = counter({
  name: 'report_tries_failed_total',
  unit: 'deliveries',
  help: 'Deliveries of batches of reports that failed, by handler, whether or not they are tried again.',
  labels: { handler: HANDLER },
})

export const REPORT_DELIVERY_CONCURRENCY = gauge({
  name: 'report_delivery_concurrency',
  unit: 'calls',
  merge: 'sum',
  help: 'Batches of reports that a process sends at once to a handler, at most: fewer than its limit while the backend has trouble, one while it rests.',
  labels: { handler: HANDLER },
})

export const REPORT_RULE_MATCH_FAILURES_TOTAL = counter({
  name: 'report_rule_match_failures_total',
  unit: 'matches',
  help: 'Matches of report rules that failed, other than by something absent; the record was not reported by that rule.',
  labels: { rule: RULE, reason: EVALUATION_FAILURES },
})

export const REPORT_INSTANCE_FAILURES_TOTAL = counter({
  name: 'report_instance_failures_total',
  unit: 'instances',
  help: 'Report instances that could not be filled; the record was not given to that handler.',
  labels: { instance: 'full name of the instance', reason: EVALUATION_FAILURES },
})

export const REPORT_QUEUES_UNSERVED = gauge({
  name: 'report_queues_unserved',
  unit: 'queues',
  merge: 'max',
  help: 'Queues of reports and of handlers in which something waits and from which no living process takes; the log and /debug/reports name them.',
})
