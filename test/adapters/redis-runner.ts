// Runs adapters' scripts on a Redis of the test's own.

import { Redis } from 'ioredis'
import type { ScriptRunner } from '../../src/adapter-kit/script-runner.ts'

/** A runner and its client; quit the client at the end. */
export function redisRunner(url: string): { readonly client: Redis; readonly runner: ScriptRunner } {
  const client = new Redis(url, { maxRetriesPerRequest: 0, commandTimeout: 2_000 })
  const runner: ScriptRunner = {
    prefix: 'intermix',
    isCluster: false,
    run: ({ source }, keys, args) => client.eval(source, keys.length, ...keys, ...args.map(String)),
  }
  return { client, runner }
}
