// What a sub-command is, and the frame that all of them run in: arguments read by their table, every problem printed,
// failures turned into exit codes.

import { IntermixError } from '../kernel/errors.ts'
import { nearest } from '../kernel/suggest.ts'
import { noFlag, type OptionTable, type ReadOptions, readOptions, showArgument } from '../settings/options.ts'
import type { CommandPage } from './help.ts'
import { type CommandHost, type CommandIo, EXIT } from './io.ts'

/** A sub-command as the table of commands holds it; the table has its name and what it is for. */
export interface Command extends CommandPage {
  /** Runs it under its name. @returns the exit code. */
  run(name: string, args: readonly string[], host: CommandHost): Promise<number>
}

/** What a tool declares. `Task` is what it has made of its arguments when it runs. */
export interface ToolSpec<T extends OptionTable, Task> extends CommandPage {
  readonly options: T
  /** Whether it takes arguments that are no flags; `read` looks after them then. */
  readonly operands?: true
  /** Makes the task. What is wrong goes to `problems`, after those of the options: nothing runs then. */
  read(call: ReadOptions<T>, problems: string[]): Task | undefined
  /**
   * Does the task. @returns the exit code.
   * @throws IntermixError what to print; INVALID_SETTING ends as wrong usage, NOT_FOUND as refused, others as failed.
   */
  run(task: Task, io: CommandIo): Promise<number>
}

/** Makes a command of what a tool declares. */
export function defineTool<const T extends OptionTable, Task>(spec: ToolSpec<T, Task>): Command {
  return {
    ...spec,
    async run(name, args, io) {
      const call = readOptions(spec.options, args, io.env)
      const problems = [...call.problems]
      if (spec.operands === undefined) {
        const hint = spec.options['attribute']?.kind === 'texts' ? '; attributes are -a NAME=VALUE' : ''
        problems.push(...call.positionals.map((text) => noFlag(name, text, spec.options, hint)))
      }
      const task = spec.read(call, problems)
      if (task === undefined || problems.length > 0) {
        for (const problem of problems) io.err(`intermix ${name}: ${problem}`)
        return EXIT.usage
      }
      try {
        return await spec.run(task, io)
      } catch (error) {
        const { code, message } = IntermixError.from(error)
        io.err(`intermix ${name}: ${message}`)
        return code === 'INVALID_SETTING' ? EXIT.usage : code === 'NOT_FOUND' ? EXIT.refused : EXIT.failed
      }
    },
  }
}

/** The action that a word names; a word that names none goes to `problems`. */
export function pickAction<A extends string>(
  actions: Readonly<Record<A, unknown>>,
  word: string | undefined,
  problems: string[],
): A | undefined {
  const known = Object.keys(actions) as A[]
  const action = known.find((name) => name === word)
  if (action !== undefined) return action
  const near = nearest(word ?? '', known).join(' or ')
  const meant = near === '' ? '' : `; did you mean ${near}?`
  problems.push(`${showArgument(word ?? 'nothing')}: give one of ${known.join(', ')}${meant}`)
  return undefined
}
