// What is measured: verdicts of an HTTP backend, lines for a backend of reports, series of two kinds, and quotas.

import { readFileSync } from 'node:fs'
import { configObject, documents } from '../config-text.ts'

/** The vocabulary of a mesh. */
const MANIFESTS = new URL('../../examples/istio/attributes.yaml', import.meta.url)

const LABELS = {
  source_workload: 'source.workload.name',
  source_namespace: 'source.workload.namespace',
  destination_workload: 'destination.workload.name',
  destination_service: 'destination.service.host',
  response_code: 'response.code',
}

/** What a line of an access log has. */
const VARIABLES = {
  method: 'request.method',
  path: 'request.path',
  code: 'response.code',
  duration: 'response.duration',
  size: 'response.size',
  source: 'source.workload.name',
  principal: 'source.principal',
  destination: 'destination.service.host',
  agent: 'request.useragent',
  id: 'request.id',
}

/** Bytes of the header that denials carry are the backend's to choose. */
export const FILLED = 'x-filled'
export const SINK = 'sink.handler.istio-system'

export function sizesConfig(backendUrl: string): string {
  const starts = (prefix: string) => `request.path.startsWith("${prefix}")`
  const metric = (name: string, kind: string) => [
    configObject('instance', name, { compiledTemplate: 'metric', params: { value: '1', dimensions: LABELS } }),
    configObject('handler', name, {
      compiledAdapter: 'prometheus',
      params: {
        metrics: [
          {
            name,
            instanceName: `${name}.instance.istio-system`,
            kind,
            labelNames: Object.keys(LABELS),
            cardinalityLimit: 1_000_000,
          },
        ],
      },
    }),
    configObject('rule', name, { match: starts(`/${name}`), actions: [{ handler: name, instances: [name] }] }),
  ]
  const made = documents(
    configObject('handler', 'asked', {
      compiledAdapter: 'http',
      params: { url: `${backendUrl}/check`, validDuration: '3600s', responseHeaders: [FILLED] },
      connection: { timeout: '2s' },
    }),
    configObject('instance', 'asked', { compiledTemplate: 'listentry', params: { value: 'request.path' } }),
    configObject('rule', 'asked', { match: starts('/asked'), actions: [{ handler: 'asked', instances: ['asked'] }] }),
    configObject('handler', 'sink', { compiledAdapter: 'http', params: { url: `${backendUrl}/reports` } }),
    configObject('instance', 'line', {
      compiledTemplate: 'logentry',
      params: { severity: '"info"', variables: VARIABLES },
    }),
    configObject('rule', 'held', { match: starts('/held'), actions: [{ handler: 'sink', instances: ['line'] }] }),
    ...metric('counter', 'COUNTER'),
    ...metric('histogram', 'DISTRIBUTION'),
    configObject('handler', 'limit', {
      compiledAdapter: 'redisquota',
      params: { quotas: [{ name: 'per-client', maxAmount: 1_000, validDuration: '3600s' }] },
    }),
    configObject('instance', 'per-client', {
      compiledTemplate: 'quota',
      params: { dimensions: { client: 'request.path' } },
    }),
    configObject('rule', 'limit', {
      match: starts('/limited'),
      actions: [{ handler: 'limit', instances: ['per-client'] }],
    }),
  )
  return `${readFileSync(MANIFESTS, 'utf8')}\n---\n${made}`
}
