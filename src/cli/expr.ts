// `intermix expr`: evaluates and explains expressions without a node.

import { parseArgs } from 'node:util'
import { compileExpression } from '../expression/compile.ts'
import { type Dialect, EvaluationError } from '../expression/compiled.ts'
import { readAttributes } from './expr-attributes.ts'
import { explanation, problemLines, resultLine } from './expr-explain.ts'
import { EXIT } from './io.ts'

/** What the command may use of the outside world. */
interface ExprIo {
  out(line: string): void
  err(line: string): void
  readFile(path: string): Promise<string>
}

const HELP = `Usage:
  intermix expr eval EXPRESSION        print the value as JSON
  intermix expr explain EXPRESSION     print types, reads, the value or why there is none

Options:
  --dialect CEXL|CEL                   the language; CEXL unless said otherwise
  --attributes JSON|@FILE              attribute values by name
  --manifest JSON|@FILE                attribute types by name; without it, types follow from the values`

/** Runs the command. @returns the exit code: 0 done, 1 the expression failed, 2 wrong usage. */
export async function runExpr(args: readonly string[], io: ExprIo): Promise<number> {
  try {
    return await run(args, io)
  } catch (error) {
    io.err(error instanceof Error ? error.message : String(error))
    return EXIT.usage
  }
}

async function run(args: readonly string[], io: ExprIo): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      dialect: { type: 'string', default: 'CEXL' },
      attributes: { type: 'string' },
      manifest: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const [command, operand, ...excess] = positionals
  if (values.help || command === 'help') {
    io.out(HELP)
    return EXIT.ok
  }
  const known = command === 'eval' || command === 'explain'
  if (!known || operand === undefined || excess.length > 0) {
    io.err(HELP)
    return EXIT.usage
  }
  const dialect = values.dialect.toUpperCase()
  if (dialect !== 'CEXL' && dialect !== 'CEL') throw new Error(`--dialect must be CEXL or CEL, not ${values.dialect}`)
  const attributes = await argumentText(values.attributes, io)
  const manifest = await argumentText(values.manifest, io)
  return show({ command, source: operand, dialect, attributes, manifest }, io)
}

/** Text given in place, or by `@` and the path of a file. */
async function argumentText(argument: string | undefined, io: ExprIo): Promise<string | undefined> {
  return argument?.startsWith('@') === true ? await io.readFile(argument.slice(1)) : argument
}

interface ShowOptions {
  readonly command: 'eval' | 'explain'
  readonly source: string
  readonly dialect: Dialect
  readonly attributes: string | undefined
  readonly manifest: string | undefined
}

function show({ command, source, dialect, ...sources }: ShowOptions, io: ExprIo): number {
  const { vocabulary, bag } = readAttributes(sources)
  const compiled = compileExpression(source, { dialect, vocabulary })
  if (!compiled.ok) {
    for (const line of problemLines(source, compiled.problems)) io.err(line)
    return EXIT.refused
  }
  const result = compiled.expression.evaluate(bag)
  const failed = result instanceof EvaluationError
  if (command === 'explain') for (const line of explanation(compiled.expression, vocabulary, bag)) io.out(line)
  else if (failed) io.err(resultLine(result))
  else io.out(resultLine(result))
  return failed ? EXIT.refused : EXIT.ok
}
