// A config whose files are texts in memory, as a version of a config is: read as a folder's files are, and a file that
// comes again unchanged is not read again, so that its objects need not be compiled again either.

import { digestOf } from './digest.ts'
import { failedPart, joined, type LoadedConfig, parsing } from './parse-text.ts'
import { atOnce, type Sliced } from './slices.ts'

/** One file of a config. */
export interface ConfigText {
  /** Relative to the config's root, with `/` between its parts. */
  readonly path: string
  readonly text: string
}

interface KnownText {
  readonly text: string
  readonly loaded: LoadedConfig
}

/** Reads configs that are given as texts, one after the other. */
export class ConfigTexts {
  readonly #name: string
  #known: ReadonlyMap<string, KnownText> = new Map()

  /** @param name what problems of the config as a whole call it */
  constructor(name: string) {
    this.#name = name
  }

  /** Reads all files, in the order of their paths. What cannot be read is a problem; never throws. */
  *load(files: readonly ConfigText[]): Sliced<LoadedConfig> {
    const known = new Map<string, KnownText>()
    const parts: LoadedConfig[] = []
    for (const { path, text } of files.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
      const before = this.#known.get(path)
      const loaded = before?.text === text ? before.loaded : yield* loadText(path, text)
      known.set(path, { text, loaded })
      parts.push(loaded)
    }
    if (parts.length === 0) parts.push(failedPart(this.#name, 'empty-folder', 'the config has no files.'))
    this.#known = known
    return joined(this.#name, parts)
  }
}

/** Reads files once and without a pause. */
export function loadConfigTexts(name: string, files: readonly ConfigText[]): LoadedConfig {
  return atOnce(new ConfigTexts(name).load(files))
}

function* loadText(path: string, text: string): Sliced<LoadedConfig> {
  return { ...(yield* parsing(path, text)), name: path, digest: digestOf([path, text]) }
}
