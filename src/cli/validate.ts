// `intermix validate`: tells everything that is wrong or doubtful about a config folder.

import { resolve } from 'node:path'
import { builtInAdapters } from '../adapters/index.ts'
import { loadAdapters } from '../adapters/load.ts'
import { compileSnapshot } from '../config/compile-snapshot.ts'
import { type LoadedConfig, loadConfigFolder } from '../config/load.ts'
import { formatProblem } from '../kernel/problem.ts'
import { type LoadedDomains, loadDomains } from '../quota/descriptors/load-domains.ts'
import type { OptionTable } from '../settings/options.ts'
import { SETTINGS } from '../settings/settings-table.ts'
import { defineTool } from './command.ts'
import { EXIT } from './io.ts'

const OPTIONS = {
  adapters: SETTINGS.adapters,
  defaultNamespace: SETTINGS.defaultNamespace,
  maxEvaluationSteps: SETTINGS.maxEvaluationSteps,
  requireRules: SETTINGS.requireRules,
  processes: SETTINGS.processes,
  ratelimitConfig: SETTINGS.ratelimitConfig,
} as const satisfies OptionTable

/** `intermix validate`. */
export const validate = defineTool({
  usage: 'DIR [flags]',
  options: OPTIONS,
  operands: true,
  notes: ['Exits with 0 when the config can be used, 1 when it has errors and 2 for wrong flags.'],
  examples: [
    'intermix validate examples/quickstart',
    'intermix validate examples/quickstart --ratelimit-config examples/ratelimit',
  ],
  read({ values, positionals }, problems) {
    const [folder, ...more] = positionals
    problems.push(...more.map((text) => `${text}: one folder at a time`))
    if (folder === undefined) problems.push('DIR is missing: the folder with the config')
    return folder === undefined ? undefined : { folder, values }
  },
  async run({ folder, values }, io) {
    const adapters = await loadAdapters(values.adapters.join(','), { from: io.cwd, known: builtInAdapters() })
    const options = { ...values, adapters }
    const loaded = await loadConfigFolder(folder)
    const compiled = compileSnapshot(loaded, options)
    const limits = await rateLimits(folder, loaded, values.ratelimitConfig)
    const problems = [...compiled.problems, ...limits.problems]
    for (const problem of problems) io.err(formatProblem(problem))
    const errors = problems.filter(({ severity }) => severity === 'error').length
    const { objects, rules } = compiled.counts
    const hasLimits = values.ratelimitConfig !== undefined || limits.domains.size + limits.quarantined.size > 0
    const domains = hasLimits ? `, ${count(limits.domains.size, 'domain')} of rate limits` : ''
    const found = `${count(objects, 'object')}, ${count(rules, 'rule')}${domains}`
    io.out(`${found}; ${count(errors, 'error')}, ${count(problems.length - errors, 'warning')}`)
    return compiled.snapshot === undefined || errors > 0 ? EXIT.refused : EXIT.ok
  },
})

async function rateLimits(folder: string, config: LoadedConfig, own: string | undefined): Promise<LoadedDomains> {
  if (own === undefined || resolve(own) === resolve(folder)) return loadDomains({ config })
  return loadDomains({ own: await loadConfigFolder(own), config })
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
