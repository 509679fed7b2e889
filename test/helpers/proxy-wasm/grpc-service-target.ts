// Which cluster a module names: Envoy takes the bytes for an envoy.config.core.v3.GrpcService first, and only where they
// are none for the name of a cluster.

import { WireReader } from '../../../src/wire/wire-reader.ts'
import { Result } from './abi.ts'
import type { Cluster, Clusters } from './cluster.ts'

const ENVOY_GRPC = (1 << 3) | 2
const CLUSTER_NAME = (1 << 3) | 2

/** The cluster, `undefined` where a GrpcService names one that is not there; or why nothing can be asked. */
export function clusterOf(service: Uint8Array, clusters: Clusters): { readonly cluster: Cluster | undefined } | Result {
  const message = readService(service)
  if (message === undefined) {
    const cluster = clusters.get(Buffer.from(service).toString('utf8'))
    return cluster === undefined ? Result.PARSE_FAILURE : { cluster }
  }
  if (message.cluster === '') return Result.BAD_ARGUMENT
  return { cluster: clusters.get(message.cluster) }
}

/** `undefined` where the bytes are no message at all. */
function readService(bytes: Uint8Array): { readonly cluster: string } | undefined {
  const reader = new WireReader(bytes)
  let cluster = ''
  try {
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag === ENVOY_GRPC) cluster = readEnvoyGrpc(reader, tag)
      else reader.skip(tag)
    }
  } catch {
    return undefined
  }
  return { cluster }
}

function readEnvoyGrpc(reader: WireReader, field: number): string {
  const outer = reader.openField(field)
  let cluster = ''
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === CLUSTER_NAME) {
      const end = reader.enter()
      cluster = reader.bytes.toString('utf8', reader.pos, end)
      reader.pos = end
    } else reader.skip(tag)
  }
  reader.close(outer)
  return cluster
}
