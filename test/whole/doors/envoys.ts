// Envoys that differ from the shipped one: without tidying paths up themselves, and asking over HTTP.
import type { Document } from 'yaml'
import { ENVOY_MANAGER } from '../../helpers/envoy.ts'

const CHECK = [...ENVOY_MANAGER, 'http_filters', 0, 'typed_config']

/** Paths reach the check and the upstream as they came: what is left to decide is the node's. */
export function leavePathsAlone(bootstrap: Document): void {
  for (const name of ['normalize_path', 'merge_slashes', 'path_with_escaped_slashes_action']) {
    if (!bootstrap.hasIn([...ENVOY_MANAGER, name])) throw new Error(`the shipped bootstrap has no ${name}`)
    bootstrap.deleteIn([...ENVOY_MANAGER, name])
  }
}

/** Asks by `http_service` in place of `grpc_service`. */
export function askOverHttp(bootstrap: Document): void {
  bootstrap.deleteIn([...CHECK, 'grpc_service'])
  bootstrap.setIn([...CHECK, 'http_service'], {
    server_uri: { uri: 'http://intermix', cluster: 'intermix', timeout: '5s' },
    path_prefix: '/v1/authz',
    authorization_response: { allowed_upstream_headers: { patterns: [{ exact: 'x-verified-user' }] } },
  })
  bootstrap.setIn([...CHECK, 'allowed_headers'], { patterns: [{ safe_regex: { regex: '.*' } }] })
  const cluster = ['static_resources', 'clusters', 0]
  bootstrap.deleteIn([...cluster, 'typed_extension_protocol_options'])
  bootstrap.deleteIn([...cluster, 'health_checks'])
}
