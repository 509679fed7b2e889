// The eleven compiled templates of Mixer 1.4: which fields an instance fills and with which types.

import type { ValueType } from '../kernel/value.ts'

/** What kind of call a template belongs to. */
export type Variety = 'check' | 'quota' | 'report' | 'attributes'

/**
 * The type of a template field: a fixed attribute type, `VALUE` for any type, `VALUE_MAP` for a map of expressions
 * of any type, or a nested message.
 */
export type FieldType = ValueType | 'VALUE' | 'VALUE_MAP' | { readonly message: Readonly<Record<string, FieldType>> }

export interface TemplateDefinition {
  readonly name: string
  readonly variety: Variety
  /** Fields in camelCase; the config accepts snake_case too. */
  readonly fields: Readonly<Record<string, FieldType>>
  /** Fields that an attribute generator puts out, for `attributeBindings` (`$out.<field in snake_case>`). */
  readonly output?: Readonly<Record<string, ValueType>>
}

const subject = { message: { user: 'STRING', groups: 'STRING', properties: 'VALUE_MAP' } } as const
const action = {
  message: { namespace: 'STRING', service: 'STRING', method: 'STRING', path: 'STRING', properties: 'VALUE_MAP' },
} as const

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

const DEFINITIONS: readonly TemplateDefinition[] = [
  { name: 'checknothing', variety: 'check', fields: {} },
  { name: 'listentry', variety: 'check', fields: { value: 'VALUE' } },
  {
    name: 'apikey',
    variety: 'check',
    fields: { api: 'STRING', apiVersion: 'STRING', apiOperation: 'STRING', apiKey: 'STRING', timestamp: 'TIMESTAMP' },
  },
  { name: 'authorization', variety: 'check', fields: { subject, action } },
  { name: 'quota', variety: 'quota', fields: { dimensions: 'VALUE_MAP' } },
  { name: 'reportnothing', variety: 'report', fields: {} },
  {
    name: 'metric',
    variety: 'report',
    fields: {
      value: 'VALUE',
      dimensions: 'VALUE_MAP',
      monitoredResourceType: 'STRING',
      monitoredResourceDimensions: 'VALUE_MAP',
    },
  },
  {
    name: 'logentry',
    variety: 'report',
    fields: {
      variables: 'VALUE_MAP',
      timestamp: 'TIMESTAMP',
      severity: 'STRING',
      monitoredResourceType: 'STRING',
      monitoredResourceDimensions: 'VALUE_MAP',
    },
  },
  {
    name: 'edge',
    variety: 'report',
    fields: {
      timestamp: 'TIMESTAMP',
      sourceWorkloadNamespace: 'STRING',
      sourceWorkloadName: 'STRING',
      sourceOwner: 'STRING',
      sourceUid: 'STRING',
      destinationWorkloadNamespace: 'STRING',
      destinationWorkloadName: 'STRING',
      destinationOwner: 'STRING',
      destinationUid: 'STRING',
      destinationServiceNamespace: 'STRING',
      destinationServiceName: 'STRING',
      contextProtocol: 'STRING',
      apiProtocol: 'STRING',
    },
  },
  {
    name: 'tracespan',
    variety: 'report',
    fields: {
      traceId: 'STRING',
      spanId: 'STRING',
      parentSpanId: 'STRING',
      spanName: 'STRING',
      startTime: 'TIMESTAMP',
      endTime: 'TIMESTAMP',
      spanTags: 'VALUE_MAP',
      httpStatusCode: 'INT64',
      clientSpan: 'BOOL',
      rewriteClientSpanId: 'BOOL',
      sourceName: 'STRING',
      sourceIp: 'IP_ADDRESS',
      destinationName: 'STRING',
      destinationIp: 'IP_ADDRESS',
      requestSize: 'INT64',
      requestTotalSize: 'INT64',
      responseSize: 'INT64',
      responseTotalSize: 'INT64',
      apiProtocol: 'STRING',
    },
  },
  {
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
  },
]

/** All compiled templates by name. */
export const TEMPLATES: ReadonlyMap<string, TemplateDefinition> = new Map(DEFINITIONS.map((t) => [t.name, t]))
