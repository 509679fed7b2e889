// Whom a call of gRPC is for, as Envoy wants to be told: an encoded envoy.config.core.v3.GrpcService.

import { Bytes, copyOf } from '../bytes/bytes'
import { Writer } from './writer'

/**
 * The hosts of a cluster. Envoy takes the bare name of a cluster, too, but only where that is no message: `istio-mix` reads as one (an
 * unknown field of eight bytes), which names no cluster, and nothing could be asked.
 */
export function targetOf(cluster: Bytes): Bytes {
  const writer = new Writer()
  const envoyGrpc = writer.open(1)
  writer.bytesAlways(1, cluster.dataStart, cluster.length)
  writer.close(envoyGrpc)
  return copyOf(writer.from, writer.size)
}
