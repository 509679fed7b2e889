// Which paths are asked for: keys that the oracle allows, by Zipf's law, as h2load takes them from files.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decisionOn, pathOf } from '../oracle.ts'
import { seededRandom } from '../random.ts'
import { ZipfSampler } from '../zipf.ts'

export interface Paths {
  /** One for each connection that always has requests under way. */
  readonly busy: readonly string[]
  /** One for each connection that asks now and then. */
  readonly calm: readonly string[]
  /** Each path once. */
  readonly all: string
  readonly count: number
}

export interface PathFiles {
  /** Paths of the most asked keys. */
  of(keys: number, zipf: number): Promise<Paths>
  remove(): Promise<void>
}

export interface Drawn {
  readonly connections: number
  /** In each connection's file; then from its beginning again. */
  readonly requests: number
}

export async function pathFiles(busy: Drawn, calm: Drawn): Promise<PathFiles> {
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
      let seed = 1
      const draw = async ({ connections, requests }: Drawn) => {
        const files: string[] = []
        for (const last = seed + connections; seed < last; seed++) {
          const sampler = new ZipfSampler(keys, zipf, seededRandom(seed))
          files.push(await write(Array.from({ length: requests }, () => all[sampler.next()] ?? '/')))
        }
        return files
      }
      return { busy: await draw(busy), calm: await draw(calm), all: await write(all), count: keys }
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
