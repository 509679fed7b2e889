// The command line of `intermix validate`: which folder, and with which adapters.

import { IntermixError } from '../kernel/errors.ts'
import type { CommandPage } from './help.ts'
import { type CommandIo, EXIT } from './io.ts'
import { type OptionTable, readOptions } from '../settings/options.ts'
import { SETTINGS } from '../settings/settings-table.ts'

const OPTIONS = {
  adapters: SETTINGS.adapters,
  defaultNamespace: SETTINGS.defaultNamespace,
  maxEvaluationSteps: SETTINGS.maxEvaluationSteps,
  requireRules: SETTINGS.requireRules,
} as const satisfies OptionTable

/** Help for `intermix validate`. */
export const VALIDATE_PAGE: CommandPage = {
  usage: 'validate DIR [flags]',
  summary: 'Tell everything that is wrong or doubtful about a config folder.',
  options: OPTIONS,
  notes: ['Exits with 0 when the config can be used, 1 when it has errors and 2 for wrong flags.'],
  examples: ['intermix validate examples/quickstart'],
}

/** Runs `intermix validate`. @returns the exit code. */
export async function runValidateCommand(args: readonly string[], io: CommandIo): Promise<number> {
  const { values, positionals, problems } = readOptions(OPTIONS, args, io.env)
  const [folder, ...more] = positionals
  const found = [...problems, ...more.map((text) => `${text}: one folder at a time`)]
  if (folder === undefined) found.push('DIR is missing: the folder with the config')
  if (folder === undefined || found.length > 0) {
    for (const problem of found) io.err(`intermix validate: ${problem}`)
    return EXIT.usage
  }
  // Loaded here: the other commands need neither the YAML reader nor the adapters.
  const [{ builtInAdapters }, { loadAdapters }, { runValidate }] = await Promise.all([
    import('../adapters/index.ts'),
    import('../adapters/load.ts'),
    import('./validate.ts'),
  ])
  try {
    const adapters = await loadAdapters(values.adapters.join(','), { from: io.cwd, known: builtInAdapters() })
    return await runValidate(folder, {
      adapters,
      defaultNamespace: values.defaultNamespace,
      maxEvaluationSteps: values.maxEvaluationSteps,
      requireRules: values.requireRules,
      out: (line) => io.out(line),
      err: (line) => io.err(line),
    })
  } catch (error) {
    const { code, message } = IntermixError.from(error)
    io.err(`intermix validate: ${message}`)
    return code === 'INVALID_SETTING' ? EXIT.usage : EXIT.refused
  }
}
