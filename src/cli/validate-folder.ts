// What is wrong or doubtful about a config folder, for whoever prints it or refuses it.

import { resolve } from 'node:path'
import { builtInAdapters } from '../adapters/index.ts'
import { loadAdapters } from '../adapters/load.ts'
import { compileSnapshot } from '../config/compile-snapshot.ts'
import { type LoadedConfig, loadConfigFolder } from '../config/load.ts'
import type { Problem } from '../kernel/problem.ts'
import { type LoadedDomains, loadDomains } from '../quota/descriptors/load-domains.ts'
import type { OptionTable, OptionValues } from '../settings/options.ts'
import { SETTINGS } from '../settings/settings-table.ts'

/** How a node would read the folder. */
export const VALIDATION_OPTIONS = {
  adapters: SETTINGS.adapters,
  defaultNamespace: SETTINGS.defaultNamespace,
  maxEvaluationSteps: SETTINGS.maxEvaluationSteps,
  requireRules: SETTINGS.requireRules,
  processes: SETTINGS.processes,
  ratelimitConfig: SETTINGS.ratelimitConfig,
} as const satisfies OptionTable

type Values = OptionValues<typeof VALIDATION_OPTIONS>

export interface Validation {
  readonly problems: readonly Problem[]
  readonly isUsable: boolean
  /** How much there is of everything, in one line. */
  readonly summary: string
}

/** @param from the folder that relative paths of adapters count from */
export async function validateFolder(folder: string, values: Values, from: string): Promise<Validation> {
  const adapters = await loadAdapters(values.adapters.join(','), { from, known: builtInAdapters() })
  const loaded = await loadConfigFolder(folder)
  const compiled = compileSnapshot(loaded, { ...values, adapters })
  const limits = await rateLimits(folder, loaded, values.ratelimitConfig)
  const problems = [...compiled.problems, ...limits.problems]
  const errors = problems.filter(({ severity }) => severity === 'error').length
  const { objects, rules } = compiled.counts
  const hasLimits = values.ratelimitConfig !== undefined || limits.domains.size + limits.quarantined.size > 0
  const domains = hasLimits ? `, ${count(limits.domains.size, 'domain')} of rate limits` : ''
  const found = `${count(objects, 'object')}, ${count(rules, 'rule')}${domains}`
  return {
    problems,
    isUsable: compiled.snapshot !== undefined && errors === 0,
    summary: `${found}; ${count(errors, 'error')}, ${count(problems.length - errors, 'warning')}`,
  }
}

async function rateLimits(folder: string, config: LoadedConfig, own: string | undefined): Promise<LoadedDomains> {
  if (own === undefined || resolve(own) === resolve(folder)) return loadDomains({ config })
  return loadDomains({ own: await loadConfigFolder(own), config })
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
