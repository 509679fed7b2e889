// Lua scripts: one file each in scripts/, run by hash and loaded where a server does not know it yet.

import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { IntermixError } from '../kernel/errors.ts'
import type { RedisClient } from './create-client.ts'

type ScriptArgument = string | number | Uint8Array

/** A script that can be run. All its keys must share one `{tag}`, so that it works on a cluster. */
export interface Script<Reply> {
  readonly name: string
  run(client: RedisClient, keys: readonly string[], args: readonly ScriptArgument[]): Promise<Reply>
}

export interface ScriptDefinition<Reply> {
  /** File `scripts/<name>-<keys>.lua`, whose head names `KEYS`, `ARGV` and `Returns` in comments. */
  readonly name: string
  /** How many it takes, always; `any` (in the file's name: `n`) where each call has as many as it needs. */
  readonly keys: number | 'any'
  /** Reads the raw reply, and throws where it is not what the script promises. */
  readonly reply: (raw: unknown) => Reply
}

/**
 * Loads a script. A wrong number of keys and a missing header are programming errors and throw at once.
 * @throws IntermixError INTERNAL where the file is missing or lacks its header.
 */
export function defineScript<Reply>(definition: ScriptDefinition<Reply>): Script<Reply> {
  const { name, keys, reply } = definition
  const source = readScript(`${name}-${keys === 'any' ? 'n' : keys}.lua`)
  const script = scriptFromSource(source, keys, name)
  return { name, run: async (client, names, args) => reply(await script.run(client, names, args)) }
}

/** A script whose source comes from elsewhere (an adapter); the raw reply is handed back. */
export function scriptFromSource(source: string, keyCount: number | 'any', name = 'of an adapter'): Script<unknown> {
  const sha = createHash('sha1').update(source).digest('hex')
  return {
    name,
    async run(client, keys, args) {
      if (keyCount !== 'any' && keys.length !== keyCount) {
        throw new IntermixError('INTERNAL', `script ${name} takes ${keyCount} keys, not ${keys.length}`)
      }
      const rest = [...keys, ...args.map((arg) => (arg instanceof Uint8Array ? Buffer.from(arg) : arg))]
      try {
        return await client.evalsha(sha, keys.length, ...rest)
      } catch (error) {
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
        return await client.eval(source, keys.length, ...rest)
      }
    },
  }
}

/** The commands that scripts run whose files begin with a name: in lower case, each once. */
export function commandsOfScripts(name: string): string[] {
  const folder = FOLDERS.find((candidate) => existsSync(candidate))
  const files = readdirSync(folder ?? '').filter((file) => file.startsWith(`${name}-`))
  if (files.length === 0) throw new IntermixError('INTERNAL', `there is no script src/redis/scripts/${name}-…`)
  const calls = files.flatMap((file) => [...readScript(file).matchAll(/\bp?call\('([A-Z]+)'/g)])
  return [...new Set(calls.map(([, command = '']) => command.toLowerCase()))]
}

// Beside this file when run from source; the published package keeps the scripts in src/ only.
const FOLDERS = [new URL('./scripts/', import.meta.url), new URL('../../../src/redis/scripts/', import.meta.url)]

function readScript(file: string): string {
  const url = FOLDERS.map((folder) => new URL(file, folder)).find((candidate) => existsSync(candidate))
  if (url === undefined) throw new IntermixError('INTERNAL', `there is no script src/redis/scripts/${file}`)
  const source = readFileSync(url, 'utf8')
  for (const word of ['KEYS', 'ARGV', 'Returns']) {
    if (!new RegExp(`^--.*\\b${word}\\b`, 'm').test(source)) {
      throw new IntermixError('INTERNAL', `the head of src/redis/scripts/${file} does not describe ${word}`)
    }
  }
  return source
}
