// The frame of the kit's commands: options, help, and an end in order.

import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import { runScenario, say } from '../output.ts'

const HELP = { help: { type: 'boolean', default: false } } as const

type Values<T extends ParseArgsOptionsConfig> = ReturnType<typeof parseArgs<{ options: T & typeof HELP }>>['values']

/**
 * Reads options, prints `help` where it is asked for, and runs the command; what it defers ends whatever happens. A wrong
 * option is said in one line.
 */
export async function runCommand<const T extends ParseArgsOptionsConfig>(
  command: { readonly options: T; readonly help: string },
  run: (values: Values<T>, defer: (end: () => Promise<unknown>) => void) => Promise<void>,
): Promise<void> {
  try {
    const { values } = parseArgs({ options: { ...command.options, ...HELP } })
    if ((values as { help?: boolean }).help === true) say(command.help)
    else await runScenario((defer) => run(values, defer))
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}
