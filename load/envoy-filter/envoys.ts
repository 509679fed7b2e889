// Real Envoys that are alike but for who is asked before a request, from the bootstraps that the project ships.

import type { Document } from 'yaml'
import {
  type Envoy,
  ENVOY_BOOTSTRAP,
  ENVOY_MANAGER,
  ENVOY_WASM,
  setFilter,
  startEnvoy,
} from '../../test/helpers/envoy.ts'

export interface Asks {
  readonly by: 'nobody' | 'ext_authz' | 'filter'
  /** Of the filter. */
  readonly settings?: object
}

const ROUTE = [...ENVOY_MANAGER, 'route_config', 'virtual_hosts', 0, 'routes', 0]
const DIRECT = { status: 200, body: { inline_string: 'hello\n' } }

/** One worker, which answers what is allowed itself and tells nobody of it. */
export async function startDirectEnvoy(binary: string, nodePort: number, asks: Asks): Promise<Envoy> {
  const adapt = (bootstrap: Document) => {
    bootstrap.deleteIn([...ENVOY_MANAGER, 'access_log'])
    bootstrap.deleteIn([...ROUTE, 'route'])
    bootstrap.setIn([...ROUTE, 'direct_response'], DIRECT)
    if (asks.by === 'nobody') bootstrap.deleteIn([...ENVOY_MANAGER, 'http_filters', 0])
    if (asks.by === 'filter') setFilter(bootstrap, asks.settings ?? {})
  }
  const path = asks.by === 'filter' ? ENVOY_WASM : ENVOY_BOOTSTRAP
  return await startEnvoy({ binary, path, nodePorts: [nodePort], upstreamPort: nodePort, adapt })
}
