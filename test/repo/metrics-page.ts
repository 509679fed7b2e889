// docs/metrics.md from the catalogue. Run as a program (`npm run docs:metrics`) it writes the file.

import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { CATALOGUE, type CatalogueArea } from '../../src/kernel/metrics/catalogue.ts'
import type { Label, Metric } from '../../src/kernel/metrics/metric.ts'

/** Where the page belongs. */
export const PAGE_PATH = fileURLToPath(new URL('../../docs/metrics.md', import.meta.url))

const HEAD = `# Metrics

What a process counts of itself, at \`GET :15014/metrics\`, in the Prometheus text format; beside it are Node's own
(\`process_…\`, \`nodejs_…\`). What to watch first is in the [README](../README.md#operating).

A counter begins at 0 with the process. A label takes the values listed, or what is said of it. The series of one metric are
bounded: label values beyond the bound share one series, all of whose labels are \`overflow\`.

A node of several processes (\`--processes\`) answers for all of them: counters and histograms are summed, those of processes
that have ended included; of gauges the table says whether the sum, the highest or the lowest counts, of the processes that
answer in time. \`intermix_node_processes_measured\` says how many did. Series named \`process_…\` and \`nodejs_eventloop_lag…\`
are of each process, with the label \`process\`.

This page is written from \`src/kernel/metrics\` by \`npm run docs:metrics\`; edit those files.
`

/** The whole page. */
export function renderMetricsPage(): string {
  return [HEAD, ...CATALOGUE.map(renderArea)].join('\n')
}

function renderArea({ title, metrics }: CatalogueArea): string {
  const rows = Object.values(metrics).map(renderRow).sort()
  return [`## ${title}`, '', '| metric | type | unit | labels | |', '|---|---|---|---|---|', ...rows, ''].join('\n')
}

function renderRow(metric: Metric & { readonly merge?: string }): string {
  const { name, type, unit, labels, help, merge } = metric
  const described = Object.entries(labels).map(([label, values]) => `\`${label}\`: ${renderLabel(values)}`)
  const kind = merge === undefined ? type : `${type}, ${merge}`
  const cells = [`\`intermix_${name}\``, kind, unit, described.join('<br>'), help]
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

function renderLabel(values: Label): string {
  return typeof values === 'string' ? values : values.map((value) => `\`${value}\``).join(', ')
}

if (import.meta.main) writeFileSync(PAGE_PATH, renderMetricsPage())
