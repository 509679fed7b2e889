// Mixer's templates of what is told after a request.

import { defineTemplate } from '../template.ts'

export const reportnothing = defineTemplate({ name: 'reportnothing', variety: 'report', fields: {} })

export const metric = defineTemplate({
  name: 'metric',
  variety: 'report',
  fields: {
    value: 'VALUE',
    dimensions: 'VALUE_MAP',
    monitoredResourceType: 'STRING',
    monitoredResourceDimensions: 'VALUE_MAP',
  },
})

export const logentry = defineTemplate({
  name: 'logentry',
  variety: 'report',
  fields: {
    variables: 'VALUE_MAP',
    timestamp: 'TIMESTAMP',
    severity: 'STRING',
    monitoredResourceType: 'STRING',
    monitoredResourceDimensions: 'VALUE_MAP',
  },
})

export const edge = defineTemplate({
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
})

export const tracespan = defineTemplate({
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
})
