// Why there is no cluster: ioredis tells little of the connections to its nodes.

import type { Cluster } from 'ioredis'
import { diagnose, type Findings } from './diagnosis.ts'
import { type Attempt, explainFailure } from './failure-reason.ts'
import type { RedisTarget } from '../kernel/redis-url.ts'

/** Tells why the cluster could not be connected to, whenever that has failed. */
export function listenToCluster(client: Cluster, { nodes, tls }: RedisTarget, findings: Findings): void {
  const { options } = client
  const { clusterRetryStrategy } = options
  const attempt: Attempt = { kind: 'cluster', tls }
  let isExplained = false
  const explain = (error: Error) => {
    const words = explainFailure(error, attempt)
    if (words === undefined) return
    isExplained = true
    findings.tell(words)
  }
  client.on('error', (error: Error & { readonly lastNodeError?: Error }) => explain(error.lastNodeError ?? error))
  // Only this function hears of a name that cannot be found; and nobody of nodes that cannot be reached, nor of a cluster
  // that says of itself that it is down.
  options.clusterRetryStrategy = (times, reason) => {
    if (reason !== undefined) explain(reason)
    if (!isExplained) findings.look(lookAtNodes)
    isExplained = false
    return clusterRetryStrategy?.call(client, times, reason)
  }

  async function lookAtNodes(): Promise<string | undefined> {
    for (const place of nodes) {
      const name = `${place.host}:${place.port}`
      const words = await diagnose(place, options.redisOptions ?? {}, { ...attempt, place: name })
      if (words !== undefined) return `node ${name}: ${words}`
    }
    return undefined
  }
}
