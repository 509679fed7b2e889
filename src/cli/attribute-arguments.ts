// Attributes as a command line gives them: `-a name=value`, and JSON in place, in a file or on standard input. Values
// of `-a` go out as text; the node reads them by the types of its manifest.

import { IntermixError } from '../kernel/errors.ts'
import { isJsonObject, type JsonObject } from '../kernel/json-object.ts'
import { parseJson } from '../kernel/parse-json.ts'
import type { CommandIo } from './io.ts'
import type { OptionTable } from '../settings/options.ts'

/** The flags that every command with attributes has. */
export const ATTRIBUTE_OPTIONS = {
  attribute: {
    kind: 'texts',
    default: [],
    short: 'a',
    env: false,
    placeholder: 'NAME=VALUE',
    description: 'One attribute, such as request.size=42 or source.labels={"app":"web"}; may be repeated.',
  },
  attributes: {
    kind: 'text',
    env: false,
    placeholder: 'JSON|@FILE|-',
    description: 'Attributes as a JSON object: in place, in a file, or on standard input. -a wins over them.',
  },
} as const satisfies OptionTable

/** Reads `name=value` pairs; what is wrong with others goes to `problems`. */
export function readPairs(flag: string, pairs: readonly string[], problems: string[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>()
  for (const pair of pairs) {
    const equals = pair.indexOf('=')
    if (equals < 1) problems.push(`${flag}: "${pair}" does not fit; give NAME=VALUE`)
    else values.set(pair.slice(0, equals), pair.slice(equals + 1))
  }
  return values
}

/**
 * The text that an argument stands for: itself, the file after `@`, or standard input for `-`.
 * @throws IntermixError INVALID_SETTING when the file cannot be read.
 */
export async function readSource(flag: string, argument: string, io: CommandIo): Promise<string> {
  if (argument === '-') return await io.readStdin()
  if (!argument.startsWith('@')) return argument
  const path = argument.slice(1)
  try {
    return await io.readFile(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new IntermixError(
      'INVALID_SETTING',
      `${flag}: cannot read ${path}${code === undefined ? '' : ` (${code})`}`,
      {
        cause: error,
      },
    )
  }
}

/** What `--attributes` stands for. @throws IntermixError INVALID_SETTING when that is no JSON object. */
export async function readAttributes(argument: string | undefined, io: CommandIo): Promise<JsonObject> {
  return (await readJsonObject('--attributes', argument, io)) ?? {}
}

/** The JSON object that a flag stands for, if given. @throws IntermixError INVALID_SETTING when it is none. */
export async function readJsonObject(
  flag: string,
  argument: string | undefined,
  io: CommandIo,
): Promise<JsonObject | undefined> {
  if (argument === undefined) return undefined
  const value = readJson(flag, await readSource(flag, argument, io))
  if (isJsonObject(value)) return value
  throw new IntermixError('INVALID_SETTING', `${flag}: give a JSON object`)
}

/** @throws IntermixError INVALID_SETTING when the text is no JSON. */
export function readJson(flag: string, text: string): unknown {
  try {
    return parseJson(text)
  } catch (error) {
    throw new IntermixError('INVALID_SETTING', `${flag}: not JSON: ${(error as Error).message}`, { cause: error })
  }
}
