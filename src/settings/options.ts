// Options from one declarative table: flags, environment variables and typed values. Every problem is collected, none
// stops the reading.

import { nearest } from '../kernel/suggest.ts'
import { type Kind, type KindValues, readValue, type ValueRules } from './option-kinds.ts'

/** One option. Its flag and variable are made from its key: `redisTimeoutMs` is `--redis-timeout`, `INTERMIX_REDIS_TIMEOUT`. */
export interface OptionSpec extends ValueRules {
  readonly kind: Kind
  /** The value when it is not given; an option without a default may be `undefined`, unless it is required. */
  readonly default?: unknown
  readonly required?: true
  /** One sentence for `--help`. */
  readonly description: string
  /** Heading in `--help`. */
  readonly group?: string
  /** One letter, for `-a`. */
  readonly short?: string
  /** What `--help` shows for the value, where the kind says too little. */
  readonly placeholder?: string
  /** What `--help` shows as default when it is worked out at run time. */
  readonly defaultText?: string
  /** Whether the environment can set it too; on by default. */
  readonly env?: false
}

export type OptionTable = Readonly<Record<string, OptionSpec>>

type ValueOf<S extends OptionSpec> = S extends { readonly choices: readonly (infer C)[] }
  ? S['kind'] extends 'list'
    ? readonly C[]
    : C
  : KindValues[S['kind']]

/** The typed values of a table: an option that is neither required nor has a default may be `undefined`. */
export type OptionValues<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends { readonly default: unknown } | { readonly required: true }
    ? ValueOf<T[K]>
    : ValueOf<T[K]> | undefined
}

export interface ReadOptions<T extends OptionTable> {
  /** Valid only where there are no problems. */
  readonly values: OptionValues<T>
  /** The keys that were given, and by what. */
  readonly given: ReadonlyMap<keyof T & string, 'flag' | 'variable'>
  readonly positionals: readonly string[]
  readonly problems: readonly string[]
}

export type Environment = Readonly<Record<string, string | undefined>>

/** `--redis-timeout` for `redisTimeoutMs`. */
export function flagOf(key: string): string {
  return `--${kebab(key)}`
}

/** `INTERMIX_REDIS_TIMEOUT` for `redisTimeoutMs`. */
export function variableOf(key: string): string {
  return `INTERMIX_${kebab(key).replaceAll('-', '_').toUpperCase()}`
}

/** The unit is part of the name in the program only: outside, the value carries it. */
function kebab(key: string): string {
  return key.replace(/Ms$/, '').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

/** Reads arguments and environment by a table. Flags win over variables; of a flag given twice the last one wins. */
export function readOptions<T extends OptionTable>(
  table: T,
  argv: readonly string[],
  env: Environment,
): ReadOptions<T> {
  const problems: string[] = []
  const { texts, positionals } = readFlags(table, argv, problems)
  const values: Record<string, unknown> = {}
  const given = new Map<keyof T & string, 'flag' | 'variable'>()
  for (const [key, spec] of Object.entries(table)) {
    const variable = spec.env === false ? undefined : env[variableOf(key)]
    const flagged = texts.get(key)
    // An empty variable is what compose files and charts leave behind for "not set".
    const source = flagged ?? (variable === undefined || variable === '' ? undefined : [variable])
    values[key] = spec.default
    if (source === undefined) {
      if (spec.required === true) problems.push(missing(key, spec))
      continue
    }
    given.set(key, flagged === undefined ? 'variable' : 'flag')
    const name = flagged === undefined ? variableOf(key) : flagOf(key)
    const read = source.map((text) => readValue(spec.kind, text, spec))
    for (const [i, result] of read.entries()) {
      if ('allowed' in result)
        problems.push(`${name}: ${quote(spec, source[i] ?? '')} does not fit; give ${result.allowed}`)
    }
    const good = read.flatMap((result) => ('value' in result ? [result.value] : []))
    values[key] = isList(spec.kind) ? good.flat() : good.at(-1)
  }
  return { values: values as OptionValues<T>, given, positionals, problems }
}

/** An argument as it may be printed where it does not belong: a URL out of its place may hold a password. */
export function showArgument(text: string): string {
  return text.replace(/^(.*?\/\/)?.*@/s, '$1***@')
}

/** Redis URLs hold passwords, and where one has a mistake nobody knows which part of it that is; so do other secrets. */
function quote({ kind, isSecret }: OptionSpec, text: string): string {
  return kind === 'redis' || isSecret === true ? 'the value' : `"${showArgument(text)}"`
}

function missing(key: string, spec: OptionSpec): string {
  const variable = spec.env === false ? '' : ` (or ${variableOf(key)})`
  return `${flagOf(key)}${variable} is missing: ${spec.description}`
}

function isList(kind: Kind): boolean {
  return kind === 'list' || kind === 'cidrs' || kind === 'texts'
}

interface Flags {
  readonly texts: ReadonlyMap<string, readonly string[]>
  readonly positionals: readonly string[]
}

function readFlags(table: OptionTable, argv: readonly string[], problems: string[]): Flags {
  const keys = new Map<string, string>()
  for (const [key, spec] of Object.entries(table)) {
    keys.set(flagOf(key), key)
    if (spec.short !== undefined) keys.set(`-${spec.short}`, key)
  }
  const texts = new Map<string, string[]>()
  const positionals: string[] = []
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i] ?? ''
    if (argument === '--') {
      positionals.push(...argv.slice(i + 1))
      break
    }
    if (!argument.startsWith('-') || argument === '-') {
      positionals.push(argument)
      continue
    }
    const [name, inline] = splitFlag(argument)
    const key = keys.get(name)
    const spec = key === undefined ? undefined : table[key]
    const next = argv[i + 1]
    if (key === undefined || spec === undefined) {
      problems.push(unknownFlag(name, [...keys.keys()]))
      // A value after an unknown flag belongs to it; taking it for a positional would add a false problem.
      if (inline === undefined && next !== undefined && !next.startsWith('-')) i++
      continue
    }
    const text = inline ?? takeValue(spec.kind, next)
    if (text === undefined) problems.push(`${name}: needs a value`)
    else if (inline === undefined && text === next) i++
    texts.set(key, [...(texts.get(key) ?? []), ...(text === undefined ? [] : [text])])
  }
  return { texts, positionals }
}

function splitFlag(argument: string): [name: string, value: string | undefined] {
  const equals = argument.startsWith('--') ? argument.indexOf('=') : -1
  return equals < 0 ? [argument, undefined] : [argument.slice(0, equals), argument.slice(equals + 1)]
}

/** A boolean flag stands for `on` unless a value follows; others take what follows unless it is a flag itself. */
function takeValue(kind: Kind, next: string | undefined): string | undefined {
  if (kind === 'boolean') {
    return next !== undefined && /^(on|off|true|false|yes|no)$/i.test(next) ? next : 'on'
  }
  return next === undefined || next.startsWith('--') ? undefined : next
}

/** The problem of an argument that is no flag where only flags are taken; `hint` helps where it is like none of them. */
export function noFlag(command: string, text: string, table: OptionTable, hint = ''): string {
  const near = nearest(text, Object.keys(table).map(flagOf)).join(' or ')
  return `${showArgument(text)}: ${command} takes flags only${near === '' ? hint : `; did you mean ${near}?`}`
}

function unknownFlag(name: string, known: readonly string[]): string {
  const near = nearest(name, known).join(' or ')
  return `${showArgument(name)}: no such flag${near === '' ? '; --help lists them' : `; did you mean ${near}?`}`
}
