// The files of a folder as a version: those that a folder as a source of config is read from (`config/load.ts`).

import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { listConfigFiles, MAX_FILE_BYTES } from '../config/load.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { ConfigFile } from './version.ts'

/**
 * Reads them, each by its name. Sub-folders, hidden files and other endings are left alone, as a node does that runs by the
 * folder.
 * @throws IntermixError INVALID_CONFIG with all files that cannot be read.
 */
export async function readVersionFolder(folder: string): Promise<readonly ConfigFile[]> {
  const problems: string[] = []
  const files: ConfigFile[] = []
  const listed = await listConfigFiles(folder).catch((error: unknown) => {
    throw new IntermixError('INVALID_CONFIG', `${folder} cannot be read: ${IntermixError.from(error).message}`)
  })
  for (const path of listed.keys()) {
    try {
      const bytes = await readFile(path)
      if (bytes.length > MAX_FILE_BYTES) throw new Error('it is larger than 16 MiB')
      files.push({
        path: basename(path),
        text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes),
      })
    } catch (error) {
      problems.push(`${path}: ${IntermixError.from(error).message}`)
    }
  }
  if (problems.length > 0) throw new IntermixError('INVALID_CONFIG', problems.join('\n'))
  return files
}
