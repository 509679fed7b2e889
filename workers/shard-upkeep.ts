// Keeps in mind how many shards queues have, and forgets those to which nobody adds any more once nothing lies there.

import { jobsIn, shardNumbers } from '../src/telemetry/jobs-in.ts'
import type { WorkerContext } from './worker-context.ts'

/** Queues that may hold something. */
export interface Queues {
  /** Digests of report rules. */
  readonly rules: Iterable<string>
  /** Full names of handlers. */
  readonly handlers: Iterable<string>
}

/** @param mayHold tells what must be empty before a shard is forgotten @throws IntermixError REDIS_UNAVAILABLE */
export async function lookAtShards(
  { shards, link, names }: WorkerContext,
  mayHold: () => Promise<Queues | undefined>,
): Promise<void> {
  await shards.look(async (from, to) => {
    const queues = await mayHold()
    if (queues === undefined) return false
    for (const shard of shardNumbers(to, from)) {
      const those = [
        ...[...queues.rules].map((rules) => names.reports(rules, shard)),
        ...[...queues.handlers].map((handler) => names.deliver(handler, shard)),
      ]
      if ((await jobsIn(link, names, those)) > 0) return false
    }
    return true
  })
}
