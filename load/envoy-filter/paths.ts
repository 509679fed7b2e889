// Which paths are asked for: keys that the oracle allows, by Zipf's law, as h2load takes them from files.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decisionOn, pathOf } from '../oracle.ts'
import { seededRandom } from '../random.ts'
import { ZipfSampler } from '../zipf.ts'

export interface Paths {
  /** One for each connection. */
  readonly drawn: readonly string[]
  /** Each path once. */
  readonly all: string
  readonly count: number
}

export interface PathFiles {
  /** Paths of the most asked keys. */
  of(keys: number, zipf: number): Promise<Paths>
  remove(): Promise<void>
}

/** @param connections files of their own, of `requests` requests each */
export async function pathFiles(connections: number, requests: number): Promise<PathFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'intermix-paths-'))
  let made = 0
  const write = async (paths: readonly string[]) => {
    const file = join(folder, String(made++))
    await writeFile(file, `${paths.join('\n')}\n`)
    return file
  }
  return {
    async of(keys, zipf) {
      const all = allowed(keys)
      const drawn: string[] = []
      for (let seed = 1; seed <= connections; seed++) {
        const sampler = new ZipfSampler(keys, zipf, seededRandom(seed))
        drawn.push(await write(Array.from({ length: requests }, () => all[sampler.next()] ?? '/')))
      }
      return { drawn, all: await write(all), count: keys }
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

function allowed(count: number): string[] {
  const paths: string[] = []
  for (let key = 0; paths.length < count; key++) {
    const path = pathOf(key)
    if (decisionOn(path) === 'allow') paths.push(path)
  }
  return paths
}
