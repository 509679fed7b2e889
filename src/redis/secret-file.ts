// Files that hold secrets and are read again while the process runs, as Kubernetes changes them in place.

import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'

const MAX_FILE_BYTES = 1024 * 1024
/** Read or written by others, written by the group. */
const OPEN_MODE = 0o026

export interface SecretFile {
  readonly text: string
  /** Whether others than its owner and group may read it, or others than its owner may write it. */
  readonly isOpen: boolean
}

/**
 * Reads a regular file: nothing that the process would wait for, or that has no end, since everything else stands still meanwhile.
 * @throws Error of the system, or one that says what is wrong; `reasonOf` has words for both.
 */
export function readSecretFile(path: string): SecretFile {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stat = fstatSync(file)
    if (stat.isDirectory()) throw new Error('it is a folder')
    if (!stat.isFile())
      throw new Error('it is a pipe or a device; it is read again and again, so it must be a regular file')
    if (stat.size > MAX_FILE_BYTES) throw new Error(`it has more than ${MAX_FILE_BYTES} bytes`)
    const text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file))
    return { text, isOpen: (stat.mode & OPEN_MODE) !== 0 }
  } finally {
    closeSync(file)
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this user is not allowed to read it',
}

/** Why a file could not be read, in words. */
export function reasonOf(error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException
  return code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'it is not UTF-8' : (REASONS[code] ?? message)
}
