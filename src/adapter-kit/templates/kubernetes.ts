// Mixer's template of what a cluster knows of both ends of a request.

import type { ValueType } from '../../kernel/value.ts'
import { defineTemplate } from '../template.ts'

const podOutput = (side: 'source' | 'destination') =>
  ({
    [`${side}PodUid`]: 'STRING',
    [`${side}PodIp`]: 'IP_ADDRESS',
    [`${side}PodName`]: 'STRING',
    [`${side}Labels`]: 'STRING_MAP',
    [`${side}Namespace`]: 'STRING',
    [`${side}ServiceAccountName`]: 'STRING',
    [`${side}HostIp`]: 'IP_ADDRESS',
    [`${side}WorkloadUid`]: 'STRING',
    [`${side}WorkloadName`]: 'STRING',
    [`${side}WorkloadNamespace`]: 'STRING',
    [`${side}Owner`]: 'STRING',
  }) satisfies Record<string, ValueType>

export const kubernetes = defineTemplate({
  name: 'kubernetes',
  variety: 'attributes',
  fields: {
    sourceUid: 'STRING',
    sourceIp: 'IP_ADDRESS',
    destinationUid: 'STRING',
    destinationIp: 'IP_ADDRESS',
    destinationPort: 'INT64',
  },
  output: { ...podOutput('source'), ...podOutput('destination'), destinationContainerName: 'STRING' },
})
