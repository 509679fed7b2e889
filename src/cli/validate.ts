// `intermix validate`: tells everything that is wrong or doubtful about a config folder.

import type { AnyAdapter } from '../adapter-kit/define-adapter.ts'
import { compileSnapshot } from '../config/compile-snapshot.ts'
import { loadConfigFolder } from '../config/load.ts'
import { formatProblem } from '../kernel/problem.ts'

export interface ValidateOptions {
  readonly adapters: ReadonlyMap<string, AnyAdapter>
  readonly defaultNamespace?: string
  readonly maxEvaluationSteps?: number
  /** Whether a config without rules is an error. */
  readonly requireRules?: boolean
  /** Receives the summary, a line at a time. */
  readonly out: (line: string) => void
  /** Receives the problems, a line each. */
  readonly err: (line: string) => void
}

/** Validates the config of a folder. @returns the exit code: 0 when it can be used, 1 when it has errors. */
export async function runValidate(folder: string, options: ValidateOptions): Promise<number> {
  const { adapters, defaultNamespace, maxEvaluationSteps, requireRules = false } = options
  const loaded = await loadConfigFolder(folder)
  const compiled = compileSnapshot(loaded, {
    adapters,
    requireRules,
    ...(defaultNamespace === undefined ? {} : { defaultNamespace }),
    ...(maxEvaluationSteps === undefined ? {} : { maxEvaluationSteps }),
  })
  for (const problem of compiled.problems) options.err(formatProblem(problem))
  const errors = compiled.problems.filter(({ severity }) => severity === 'error').length
  const { objects, rules } = compiled.counts
  const found = `${count(objects, 'object')}, ${count(rules, 'rule')}`
  options.out(`${found}; ${count(errors, 'error')}, ${count(compiled.problems.length - errors, 'warning')}`)
  return compiled.snapshot === undefined ? 1 : 0
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
