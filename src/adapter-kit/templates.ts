// The registry of templates: Mixer's eleven, and those that adapters bring along.

import type { InstanceOf, TemplateDefinition } from './template.ts'
import { apikey, authorization, checknothing, listentry, quota } from './templates/checks.ts'
import { kubernetes } from './templates/kubernetes.ts'
import { edge, logentry, metric, reportnothing, tracespan } from './templates/reports.ts'

const BUILT_IN = [
  checknothing,
  listentry,
  apikey,
  authorization,
  quota,
  reportnothing,
  metric,
  logentry,
  edge,
  tracespan,
  kubernetes,
] as const

export type BuiltInTemplate = (typeof BUILT_IN)[number]
export type TemplateName = BuiltInTemplate['name']

/** The templates that come with Intermix, by name. */
export const BUILT_IN_TEMPLATES: ReadonlyMap<string, TemplateDefinition> = new Map(BUILT_IN.map((t) => [t.name, t]))

export type ListEntryInstance = InstanceOf<typeof listentry>
export type ApiKeyInstance = InstanceOf<typeof apikey>
export type AuthorizationInstance = InstanceOf<typeof authorization>
export type QuotaInstance = InstanceOf<typeof quota>
export type MetricInstance = InstanceOf<typeof metric>
export type LogEntryInstance = InstanceOf<typeof logentry>

/** How an adapter says what it takes: a built-in template by name, any other by its definition. */
export type TemplateReference = TemplateName | TemplateDefinition

/** The definition that a reference stands for. */
export type TemplateOf<R extends TemplateReference> = R extends TemplateDefinition
  ? R
  : Extract<BuiltInTemplate, { readonly name: R }>

interface Taker {
  readonly templates: readonly TemplateReference[]
}

/** The templates that an adapter takes, by name. */
export function templatesOf({ templates }: Taker): ReadonlyMap<string, TemplateDefinition> {
  const found = templates.map((reference) =>
    typeof reference === 'string' ? BUILT_IN_TEMPLATES.get(reference) : reference,
  )
  return new Map(found.flatMap((template) => (template === undefined ? [] : [[template.name, template]])))
}

/** All templates by name: the built-in ones and those of adapters. Of two under one name the first counts. */
export function knownTemplates(adapters: Iterable<Taker>): ReadonlyMap<string, TemplateDefinition> {
  const known = new Map(BUILT_IN_TEMPLATES)
  for (const adapter of adapters) {
    for (const [name, template] of templatesOf(adapter)) if (!known.has(name)) known.set(name, template)
  }
  return known
}
