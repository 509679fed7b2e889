// The files of a version as one compressed blob, as Redis and the disks of nodes keep it.

import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { IntermixError } from '../kernel/errors.ts'
import { parseJson } from '../kernel/parse-json.ts'
import { assertVersion, type ConfigFile, inOrder, VERSION_BOUNDS, versionId } from './version.ts'

const compress = promisify(gzip)
const expand = promisify(gunzip)

/** Of a blob: texts compress to less than a fifth. */
const MAX_BLOB_BYTES = 16 * 1024 * 1024
/** Quotes, escapes and paths around the texts; more than that holds no version. */
const MAX_EXPANDED = 2 * VERSION_BOUNDS.bytes + VERSION_BOUNDS.files * VERSION_BOUNDS.pathLength * 2

/** @throws IntermixError TOO_LARGE where the files are no version, or do not compress below the bound. */
export async function packFiles(files: readonly ConfigFile[]): Promise<Buffer> {
  assertVersion(files)
  const blob = await compress(JSON.stringify(inOrder(files).map(({ path, text }) => [path, text])))
  if (blob.length > MAX_BLOB_BYTES)
    throw new IntermixError('TOO_LARGE', `${blob.length} bytes compressed: a version has at most ${MAX_BLOB_BYTES}`)
  return blob
}

/**
 * The files again.
 * @throws IntermixError INVALID_CONFIG where the blob is damaged, or holds another version than `id`.
 */
export async function unpackFiles(blob: Uint8Array, id: string): Promise<readonly ConfigFile[]> {
  const damaged = (why: string) => new IntermixError('INVALID_CONFIG', `the stored version ${id} is damaged: ${why}`)
  let pairs: unknown
  try {
    pairs = parseJson((await expand(blob, { maxOutputLength: MAX_EXPANDED })).toString())
  } catch (error) {
    throw damaged(IntermixError.from(error).message)
  }
  if (!Array.isArray(pairs) || !pairs.every(isPair)) throw damaged('it holds no list of files')
  const files = pairs.map(([path, content]) => ({ path, text: content }))
  if (versionId(files) !== id) throw damaged('its content is that of another version')
  return files
}

function isPair(value: unknown): value is [string, string] {
  return Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === 'string')
}
