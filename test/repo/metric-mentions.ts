// Finds the metrics that a text names, and what is wrong with them: names that the catalogue does not have, other labels,
// values that a label cannot have.

import { CATALOGUE } from '../../src/kernel/metrics/catalogue.ts'
import type { Metric } from '../../src/kernel/metrics/metric.ts'

const METRICS: ReadonlyMap<string, Metric> = new Map(
  CATALOGUE.flatMap(({ metrics }) => Object.values(metrics)).map((metric) => [metric.name, metric]),
)

/** One metric in a text, with its labels as they are written there. */
export interface Mention {
  readonly name: string
  readonly labels: string
}

/**
 * `intermix_name`, `intermix_name{labels}`, and in code `'intermix_name', 'labels'`. What nginx calls so is none: variables
 * (`$intermix_…`), locations and upstreams. Nor is how Envoy calls the end of a request that the filter has refused.
 */
const MENTION =
  /(?<![$/@\w-]|upstream )intermix_(?!(?:denied|not_judged)\b)(?<name>[a-z\d_]+)(?:\{(?<braced>[^}]*)\}|', '(?<quoted>[^']*)')?/g

/** All metrics that a text names. */
export function mentionsIn(text: string): Mention[] {
  return [...text.matchAll(MENTION)].map(({ groups }) => ({
    name: groups?.['name'] ?? '',
    labels: groups?.['braced'] ?? groups?.['quoted'] ?? '',
  }))
}

/** What is wrong with a mention. Bare labels (`{door,reason}`) are all that there are; selected ones may be some of them. */
export function problemsOf({ name, labels }: Mention): string[] {
  const metric = METRICS.get(name) ?? histogramOf(name)
  if (metric === undefined) return [`there is no metric intermix_${name}`]
  const parts = labels.split(',').filter((part) => part !== '')
  const selectors = parts.map((part) =>
    /^(?<label>\w+)(?:(?<operator>=|!=|=~|!~)"(?<value>[^"]*)")?$/.exec(part.trim()),
  )
  if (selectors.includes(null)) return [`the labels of intermix_${name} cannot be read: ${labels}`]
  if (parts.length > 0 && selectors.every((match) => match?.groups?.['operator'] === undefined)) {
    const own = Object.keys(metric.labels).join()
    const named = parts.map((part) => part.trim()).join()
    return named === own ? [] : [`intermix_${name} has the labels {${own}}, not {${named}}`]
  }
  return selectors.flatMap((match) => problemsOfSelector(metric, match?.groups ?? {}))
}

function problemsOfSelector(metric: Metric, groups: Readonly<Record<string, string | undefined>>): string[] {
  const { label = '', operator, value = '' } = groups
  const values = metric.labels[label]
  if (values === undefined) return [`intermix_${metric.name} has no label ${label}`]
  if (typeof values === 'string' || operator !== '=' || values.includes(value)) return []
  return [`label ${label} of intermix_${metric.name} is never ${value}`]
}

/** The histogram behind one of the series that it is exposed as. */
function histogramOf(series: string): Metric | undefined {
  const metric = METRICS.get(series.replace(/_(bucket|sum|count)$/, ''))
  return metric?.type === 'histogram' ? metric : undefined
}
