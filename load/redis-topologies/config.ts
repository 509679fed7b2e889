// What the nodes and workers are configured with: checks are decided by a backend, records go to another one and into a counter.

import { configObject, documents } from '../config-text.ts'
import { chaosConfig } from '../report-chaos/config.ts'
import { CHECK_TIMEOUT_MS } from './checks.ts'

export function topologyConfig(receiverUrl: string, backendUrl: string): string {
  const text = { valueType: 'STRING' }
  const checks = documents(
    configObject('attributemanifest', 'checks', {
      attributes: { 'request.path': text, 'destination.service.name': text },
    }),
    configObject('instance', 'path', { compiledTemplate: 'listentry', params: { value: 'request.path' } }),
    configObject('handler', 'policy', {
      compiledAdapter: 'http',
      params: { url: `${backendUrl}/policy` },
      timeout: `${CHECK_TIMEOUT_MS}ms`,
    }),
    configObject('rule', 'ask', {
      match: 'destination.service.name == "service-0"',
      actions: [{ handler: 'policy', instances: ['path'] }],
    }),
  )
  return `${chaosConfig(receiverUrl)}\n---\n${checks}`
}
