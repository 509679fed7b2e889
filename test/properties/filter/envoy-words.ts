// What configs of the filter's oracle speak of: attributes that a node derives from Envoy's requests, and names that no
// request has, which generators may give.

import type { Attribute, AttributeType, Vocabulary } from '../vocabulary.ts'

/** Requests have them as they come, and not by this table. */
const of = (type: AttributeType, ...names: readonly string[]): readonly Attribute[] =>
  names.map((name) => ({ name, type, share: 0, value: () => '' }))

const [first, ...others] = [
  ...of('STRING', 'request.path', 'request.host', 'request.method', 'request.url_path', 'request.useragent'),
  ...of('STRING', 'request.referer', 'request.scheme', 'connection.requested_server_name', 'context.protocol'),
  ...of('STRING', 'x.output.owner', 'output.source_pod_name', '_out.source_pod_name'),
  ...of('INT64', 'source.port', 'request.size', 'destination.port'),
  ...of('DURATION', 'd'),
  ...of('IP_ADDRESS', 'source.ip', 'destination.ip'),
  ...of('STRING_MAP', 'request.headers', 'request.query_params', 'x.output.pairs', 'source.labels'),
  ...of('STRING', 'source.principal', 'source.namespace', 'destination.namespace', 'context.reporter.kind'),
]

export const ENVOY_WORDS: Vocabulary = {
  attributes: [first as Attribute, ...others],
  keys: ['k', 'l', 'constructor', '__proto__', ':method', 'host'],
  words: ['x', 'y', '/x', '/xx', '5', 'GET', ''],
  affixes: ['/', '/x', '/y', '/xs', '/xsx', 'sx', 'x', '=x', '10', '', '5'],
  bound: [
    ['x.output.owner', 'STRING', ['source_pod_name', 'source_namespace']],
    ['output.source_pod_name', 'STRING', ['source_pod_name']],
    ['source.principal', 'STRING', ['source_pod_name']],
    ['request.referer', 'STRING', ['source_pod_name']],
    ['destination.namespace', 'STRING', ['source_namespace']],
    ['source.namespace', 'STRING', ['source_namespace']],
    ['source.ip', 'IP_ADDRESS', ['source_pod_ip']],
    ['source.labels', 'STRING_MAP', ['source_labels']],
  ],
}

/** By attribute: its type, for deriving. */
export const ENVOY_TYPES = new Map(ENVOY_WORDS.attributes.map(({ name, type }) => [name, type] as const))
