// `intermix expr`: evaluates and explains expressions without a node.

import { compileExpression } from '../expression/compile.ts'
import { EvaluationError } from '../expression/compiled.ts'
import type { OptionTable } from '../settings/options.ts'
import { readAttributes, readJsonObject } from './attribute-arguments.ts'
import { defineTool, pickAction } from './command.ts'
import { readBag, readVocabulary } from './expr-attributes.ts'
import { explanation, problemLines, resultLine } from './expr-explain.ts'
import { EXIT } from './io.ts'

const OPTIONS = {
  dialect: {
    kind: 'choice',
    default: 'CEXL',
    choices: ['CEXL', 'CEL'],
    env: false,
    description: 'The language.',
  },
  attributes: {
    kind: 'text',
    env: false,
    placeholder: 'JSON|@FILE|-',
    description: 'Attributes as a JSON object: in place, in a file, or on standard input.',
  },
  manifest: {
    kind: 'text',
    env: false,
    placeholder: 'JSON|@FILE|-',
    description: 'Types of attributes by name, or such objects by name of their manifest.',
    defaultText: 'types follow from the values',
  },
} as const satisfies OptionTable

const ACTIONS = {
  eval: { usage: 'EXPRESSION', summary: 'Print the value as JSON.' },
  explain: { usage: 'EXPRESSION', summary: 'Print types, reads, and the value or why there is none.' },
} as const

/** `intermix expr`. */
export const expr = defineTool({
  usage: '(eval | explain) EXPRESSION [flags]',
  options: OPTIONS,
  operands: true,
  actions: ACTIONS,
  notes: ['Exits with 0 when there is a value, 1 when the expression is wrong or fails, and 2 for wrong flags.'],
  examples: [
    `intermix expr eval 'request.size > 5' --attributes '{"request.size": 7}'`,
    `intermix expr explain 'request.path | "/"' --manifest '{"request.path": "STRING"}'`,
  ],
  read({ values, positionals: [word, source, ...more] }, problems) {
    const action = pickAction(ACTIONS, word, problems)
    if (action === undefined) return undefined
    if (source === undefined) problems.push(`${action}: give the EXPRESSION`)
    problems.push(...more.map((text) => `${text}: one expression at a time; put it into quotes`))
    return source === undefined ? undefined : { action, source, values }
  },
  async run({ action, source, values }, io) {
    const { dialect } = values
    const manifest = await readJsonObject('--manifest', values.manifest, io)
    const written = await readAttributes(values.attributes, io)
    const vocabulary = readVocabulary(manifest, written)
    const bag = readBag(written, vocabulary)
    const compiled = compileExpression(source, { dialect, vocabulary })
    if (!compiled.ok) {
      for (const line of problemLines(source, compiled.problems)) io.err(line)
      return EXIT.refused
    }
    const result = compiled.expression.evaluate(bag)
    const failed = result instanceof EvaluationError
    if (action === 'explain') for (const line of explanation(compiled.expression, vocabulary, bag)) io.out(line)
    else if (failed) io.err(resultLine(result))
    else io.out(resultLine(result))
    return failed ? EXIT.refused : EXIT.ok
  },
})
