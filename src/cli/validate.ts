// `intermix validate`: tells everything that is wrong or doubtful about a config folder.

import { formatProblem } from '../kernel/problem.ts'
import { defineTool } from './command.ts'
import { EXIT } from './io.ts'
import { validateFolder, VALIDATION_OPTIONS } from './validate-folder.ts'

/** `intermix validate`. */
export const validate = defineTool({
  usage: 'DIR [flags]',
  options: VALIDATION_OPTIONS,
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
    const { problems, summary, isUsable } = await validateFolder(folder, values, io.cwd)
    for (const problem of problems) io.err(formatProblem(problem))
    io.out(summary)
    return isUsable ? EXIT.ok : EXIT.refused
  },
})
