// The keys that the nodes of a mesh share, as a file has them: one a line, the first one signs, all verify.

import { IntermixError } from '../kernel/errors.ts'
import { readSecretFile, reasonOf } from '../redis/secret-file.ts'

const MIN_KEY_BYTES = 32
const MAX_KEY_BYTES = 1024
const MAX_KEYS = 8
/** A key of 32 random bytes has fewer different ones less often than once in 10^20 keys. */
const MIN_DIFFERENT_BYTES = 12

export interface MeshKeyFile {
  readonly keys: readonly Buffer[]
  /** Whether others may read or change it. */
  readonly isOpen: boolean
}

/** @throws IntermixError INVALID_SETTING that names all that is wrong, and quotes nothing of it. */
export function readMeshKeyFile(path: string): MeshKeyFile {
  let file: ReturnType<typeof readSecretFile>
  try {
    file = readSecretFile(path)
  } catch (error) {
    throw unusable(path, reasonOf(error))
  }
  const { keys, problems } = keysIn(file.text)
  if (problems.length > 0) throw unusable(path, problems.join('; '))
  return { keys, isOpen: file.isOpen }
}

/** The keys in a text, and what is wrong with it: all of it, by line. */
function keysIn(text: string): { readonly keys: readonly Buffer[]; readonly problems: readonly string[] } {
  const keys: Buffer[] = []
  const problems: string[] = []
  for (const [at, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const key = keyOf(line)
    const problem = typeof key === 'string' ? key : keys.some((other) => other.equals(key)) && 'the same key again'
    if (problem !== false) problems.push(`line ${at + 1}: ${problem}`)
    else keys.push(key as Buffer)
  }
  if (keys.length === 0 && problems.length === 0) problems.push('it holds no key')
  if (keys.length > MAX_KEYS) problems.push(`it holds ${keys.length} keys; ${MAX_KEYS} are the most`)
  return { keys, problems }
}

/** What is hexadecimal is read as that, although it may be base64, too. */
function keyOf(line: string): Buffer | string {
  const isHex = /^([0-9a-f]{2})+$/i.test(line) && line.length >= 2 * MIN_KEY_BYTES
  if (!isHex && !/^[A-Za-z0-9+/_-]+={0,2}$/.test(line)) return 'neither base64 nor hexadecimal'
  const key = Buffer.from(line, isHex ? 'hex' : 'base64')
  if (key.length < MIN_KEY_BYTES)
    return `a key of ${key.length} bytes; ${MIN_KEY_BYTES} or more are needed (openssl rand -base64 32)`
  if (key.length > MAX_KEY_BYTES) return `a key of ${key.length} bytes; ${MAX_KEY_BYTES} are the most`
  if (new Set(key).size < MIN_DIFFERENT_BYTES) return 'not random: most of its bytes are the same'
  return key
}

function unusable(path: string, why: string): IntermixError {
  return new IntermixError('INVALID_SETTING', `--mesh-key: the file ${path} cannot be used: ${why}`)
}
