// Instances as adapters receive them: the template's fields, filled for one request.

import type { AttributeValue, StringMap } from '../kernel/value.ts'

/** Values of a map of expressions, by key, in the order of the config. */
export type ValueMap = Readonly<Record<string, AttributeValue>>

/**
 * A filled field: a value, a map of values, or a nested message. Only fields that the config sets are present.
 */
export type FieldValue = AttributeValue | ValueMap | { readonly [field: string]: FieldValue }

/** One instance: `name` is the fully qualified name (`requestcount.instance.istio-system`). */
export interface Instance {
  readonly name: string
  readonly template: string
  readonly fields: Readonly<Record<string, FieldValue>>
}

export interface ListEntryInstance extends Instance {
  readonly fields: { readonly value?: AttributeValue }
}

export interface ApiKeyInstance extends Instance {
  readonly fields: {
    readonly api?: string
    readonly apiVersion?: string
    readonly apiOperation?: string
    readonly apiKey?: string
    readonly timestamp?: AttributeValue
  }
}

export interface AuthorizationInstance extends Instance {
  readonly fields: {
    readonly subject?: { readonly user?: string; readonly groups?: string; readonly properties?: ValueMap }
    readonly action?: {
      readonly namespace?: string
      readonly service?: string
      readonly method?: string
      readonly path?: string
      readonly properties?: ValueMap
    }
  }
}

export interface QuotaInstance extends Instance {
  readonly fields: { readonly dimensions?: ValueMap }
}

export interface MetricInstance extends Instance {
  readonly fields: {
    readonly value?: AttributeValue
    readonly dimensions?: ValueMap
    readonly monitoredResourceType?: string
    readonly monitoredResourceDimensions?: ValueMap
  }
}

export interface LogEntryInstance extends Instance {
  readonly fields: {
    readonly variables?: ValueMap
    readonly timestamp?: AttributeValue
    readonly severity?: string
    readonly monitoredResourceType?: string
    readonly monitoredResourceDimensions?: ValueMap
  }
}

/** The instance type of each template that has one of its own; the others are plain instances. */
export interface InstanceTypes {
  checknothing: Instance
  listentry: ListEntryInstance
  apikey: ApiKeyInstance
  authorization: AuthorizationInstance
  quota: QuotaInstance
  reportnothing: Instance
  metric: MetricInstance
  logentry: LogEntryInstance
  edge: Instance
  tracespan: Instance
  kubernetes: Instance
}

export type CheckTemplate = 'checknothing' | 'listentry' | 'apikey' | 'authorization'
export type ReportTemplate = 'reportnothing' | 'metric' | 'logentry' | 'edge' | 'tracespan'
export type TemplateName = keyof InstanceTypes

export type { AttributeValue, StringMap }
