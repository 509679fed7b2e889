// Lays out help pages: of the program, and of each command from its table of options.

import { placeholder, showValue } from '../settings/option-kinds.ts'
import { flagOf, type OptionSpec, type OptionTable, variableOf } from '../settings/options.ts'

const WIDTH = 100
const INDENT = 6

/** One thing that a command can do: the arguments that go with it, and what it is for. */
interface Action {
  readonly usage: string
  readonly summary: string
}

/** What a command says of itself, beside its name and what it is for. */
export interface CommandPage {
  /** Its arguments: `DIR [flags]`. */
  readonly usage: string
  /** What it can do, for one that can do several things: its first argument says which. */
  readonly actions?: Readonly<Record<string, Action>>
  readonly options: OptionTable
  /** Paragraphs under the options. */
  readonly notes?: readonly string[]
  readonly examples?: readonly string[]
}

/** The page of one command: usage, actions, every option by group with default and variable, notes, examples. */
export function commandHelp(name: string, summary: string, page: CommandPage): string {
  const blocks = [`Usage: intermix ${name} ${page.usage}`.trimEnd(), wrap(summary, 0)]
  if (page.actions !== undefined) blocks.push(actionsHelp(page.actions))
  for (const [group, entries] of groups(page.options)) {
    blocks.push([`${group}:`, ...entries.map(([key, spec]) => optionHelp(key, spec))].join('\n'))
  }
  for (const note of page.notes ?? []) blocks.push(wrap(note, 0))
  if (page.examples !== undefined) blocks.push(['Examples:', ...page.examples.map((line) => `  ${line}`)].join('\n'))
  return blocks.join('\n\n')
}

/** The page of the program: what it is, its commands under their headings, where to go on. */
export function programHelp(
  commands: ReadonlyMap<string, { readonly heading: string; readonly summary: string }>,
): string {
  const width = Math.max(...[...commands.keys()].map((name) => name.length))
  const sections = [...Map.groupBy(commands, ([, { heading }]) => heading)].map(([heading, entries]) => {
    return section(
      heading,
      entries.map(([name, { summary }]) => [name, summary]),
      width,
    )
  })
  return [
    'Intermix: policy checks and telemetry reports between a service mesh and its backends.',
    'Usage: intermix COMMAND [flags]',
    ...sections,
    'intermix COMMAND --help lists the flags of a command. Each flag can also be given as a variable:\n' +
      '--redis-timeout 50ms is INTERMIX_REDIS_TIMEOUT=50ms. Flags win over variables.',
    'Exit codes: 0 done or allowed, 1 refused or denied, 2 wrong flags or variables, 3 the node failed.',
  ].join('\n\n')
}

function actionsHelp(actions: Readonly<Record<string, Action>>): string {
  const rows = Object.entries(actions).map(
    ([name, { usage, summary }]) => [`${name} ${usage}`.trimEnd(), summary] as const,
  )
  return section('Actions', rows, Math.max(...rows.map(([call]) => call.length)))
}

function section(heading: string, rows: readonly (readonly [string, string])[], width: number): string {
  return [`${heading}:`, ...rows.map(([name, summary]) => `  ${name.padEnd(width)}  ${summary}`)].join('\n')
}

function groups(options: OptionTable): ReadonlyMap<string, [string, OptionSpec][]> {
  return Map.groupBy(Object.entries(options), ([, { group }]) => group ?? 'Flags')
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
