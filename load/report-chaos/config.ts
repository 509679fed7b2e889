// What the nodes and workers of a chaos run are configured with: each record goes to a backend with its number, and into a
// counter, so that one can be held against the other.

import { configObject, documents } from '../config-text.ts'

/** The attribute that carries a record's number: all doors have it. */
export const NUMBER = 'request.id'
/** The counter's name as the workers expose it. */
export const COUNTER = 'istio_chaos_records'

export function chaosConfig(receiverUrl: string): string {
  const metric = {
    name: 'chaos_records',
    instanceName: 'counted.instance.istio-system',
    kind: 'COUNTER',
    labelNames: [],
  }
  return documents(
    configObject('attributemanifest', 'chaos', { attributes: { [NUMBER]: { valueType: 'STRING' } } }),
    configObject('instance', 'record', {
      compiledTemplate: 'logentry',
      params: { severity: '"info"', variables: { record: NUMBER } },
    }),
    configObject('instance', 'counted', { compiledTemplate: 'metric', params: { value: '1', dimensions: {} } }),
    // A call that is not answered shall not take most of a short run.
    configObject('handler', 'receiver', {
      compiledAdapter: 'http',
      params: { url: `${receiverUrl}/reports` },
      reportTimeout: '1s',
    }),
    configObject('handler', 'counter', { compiledAdapter: 'prometheus', params: { metrics: [metric] } }),
    configObject('rule', 'all', {
      actions: [
        { handler: 'receiver', instances: ['record'] },
        { handler: 'counter', instances: ['counted'] },
      ],
    }),
  )
}
