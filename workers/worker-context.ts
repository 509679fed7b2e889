// What the parts of a worker process share.

import type { ExportWishes } from '../src/adapter-kit/exporter/limits.ts'
import type { Clock, Logger, Meter, Random } from '../src/kernel/ports.ts'
import type { RedisLink } from '../src/redis/connection.ts'
import type { RedisClient } from '../src/redis/create-client.ts'
import type { Replication } from '../src/redis/replication.ts'
import type { DeadLetters } from '../src/telemetry/dead-letters.ts'
import type { SharedLedger } from '../src/telemetry/ledger.ts'
import type { QueueNames } from '../src/telemetry/queue-names.ts'
import type { QueueShards } from '../src/telemetry/queue-shards.ts'
import type { WorkerMemory } from './worker-memory.ts'

/** How workers take jobs and notice that another worker has died. Times in milliseconds. */
export interface WorkerTuning {
  /** Jobs at once, per queue, unless an adapter says otherwise. */
  readonly concurrency: number
  /** A job whose worker gave no sign of life for this long may be taken over. */
  readonly lockDurationMs: number
  /** How often abandoned jobs are looked for. */
  readonly stalledIntervalMs: number
  readonly retries: NonNullable<ExportWishes['retries']>
  /**
   * How long a handler that has gone from the config still delivers what waits for it, and how long it must then be missing
   * before the rest becomes dead letters.
   */
  readonly orphanGraceMs: number
  /** How long nothing may have come under former report rules before they are forgotten. */
  readonly formerRulesMs: number
  /** How long reports must have waited that nobody has the rules for before they are evaluated under the present ones. */
  readonly adoptMs: number
  /** How often queues are looked at: for how they stand, failed jobs and vanished handlers. */
  readonly maintenanceMs: number
  /** A worker that takes nothing for so long, while jobs wait that it could take, is replaced. */
  readonly deafMs: number
}

export interface WorkerContext {
  /** For BullMQ's workers: waits for Redis for ever. */
  readonly connection: RedisClient
  /** For everything else: bounded. */
  readonly link: RedisLink
  /** Waits for replicas of the queue's Redis; without it nothing is waited for. */
  readonly replication?: Replication
  readonly names: QueueNames
  readonly shards: QueueShards
  readonly memory: WorkerMemory
  readonly mesh: string | undefined
  readonly ledger: SharedLedger
  readonly deadLetters: DeadLetters
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  readonly tuning: WorkerTuning
}
