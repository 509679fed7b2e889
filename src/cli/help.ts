// Lays out help pages: of the program, and of each command from its table of options.

import { placeholder, showValue } from '../settings/option-kinds.ts'
import { flagOf, type OptionSpec, type OptionTable, variableOf } from '../settings/options.ts'

const WIDTH = 100
const INDENT = 6

/** A page of help for one command. */
export interface CommandPage {
  /** How to call it, without the program's name: `check [flags]`. */
  readonly usage: string
  readonly summary: string
  /** Paragraphs under the options. */
  readonly notes?: readonly string[]
  readonly options?: OptionTable
  readonly examples?: readonly string[]
}

/** The page of one command: usage, every option by group with default and variable, notes, examples. */
export function commandHelp(page: CommandPage): string {
  const blocks = [`Usage: intermix ${page.usage}`, wrap(page.summary, 0)]
  for (const [group, entries] of groups(page.options ?? {})) {
    blocks.push([`${group}:`, ...entries.map(([key, spec]) => optionHelp(key, spec))].join('\n'))
  }
  for (const note of page.notes ?? []) blocks.push(wrap(note, 0))
  if (page.examples !== undefined) blocks.push(['Examples:', ...page.examples.map((line) => `  ${line}`)].join('\n'))
  return blocks.join('\n\n')
}

export interface CommandLine {
  readonly name: string
  readonly summary: string
}

/** The page of the program: what it is, its commands by group, where to go on. */
export function programHelp(
  sections: readonly (readonly [heading: string, commands: readonly CommandLine[]])[],
): string {
  const width = Math.max(...sections.flatMap(([, commands]) => commands.map(({ name }) => name.length)))
  const blocks = sections.map(([heading, commands]) =>
    [`${heading}:`, ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`)].join('\n'),
  )
  return [
    'Intermix: policy checks and telemetry reports between a service mesh and its backends.',
    'Usage: intermix COMMAND [flags]',
    ...blocks,
    'intermix COMMAND --help lists the flags of a command. Each flag can also be given as a variable:\n' +
      '--redis-timeout 50ms is INTERMIX_REDIS_TIMEOUT=50ms. Flags win over variables.',
    'Exit codes: 0 done or allowed, 1 refused or denied, 2 wrong flags or variables, 3 the node failed.',
  ].join('\n\n')
}

function groups(options: OptionTable): ReadonlyMap<string, [string, OptionSpec][]> {
  const byGroup = new Map<string, [string, OptionSpec][]>()
  for (const entry of Object.entries(options)) {
    const group = entry[1].group ?? 'Flags'
    byGroup.set(group, [...(byGroup.get(group) ?? []), entry])
  }
  return byGroup
}

function optionHelp(key: string, spec: OptionSpec): string {
  const short = spec.short === undefined ? '' : `-${spec.short}, `
  const head = `  ${short}${flagOf(key)} ${spec.placeholder ?? placeholder(spec.kind, spec)}`
  const facts = [defaultText(spec), spec.env === false ? '' : variableOf(key)].filter((text) => text !== '')
  const lines = [head, wrap(spec.description, INDENT)]
  if (facts.length > 0) lines.push(wrap(`[${facts.join('; ')}]`, INDENT))
  return lines.join('\n')
}

function defaultText(spec: OptionSpec): string {
  if (spec.required === true) return 'required'
  if (spec.defaultText !== undefined) return `default: ${spec.defaultText}`
  if (spec.default === undefined || (Array.isArray(spec.default) && spec.default.length === 0)) return ''
  return `default: ${showValue(spec.kind, spec.default)}`
}

function wrap(text: string, indent: number): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].map((part) => ' '.repeat(indent) + part).join('\n')
}
