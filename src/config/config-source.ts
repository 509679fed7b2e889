// Where config comes from. A folder is one such place; how config is kept current is the same for all (`watch.ts`).

import type { LoadedConfig } from './parse-text.ts'

/** The code of problems that are no fault of the config: something of it could not be read now and may be later. */
export const UNREADABLE = 'unreadable-file'

/** A place of config documents. */
export interface ConfigSource {
  /** What messages call it: the path of a folder, an address. */
  readonly name: string
  /** A text that changes when the config may have, at little cost: it is asked for every second. Never rejects. */
  fingerprint(): Promise<string>
  /**
   * Reads all documents; which parts it remembers is its own matter. Problems that pass by themselves have the code
   * `UNREADABLE`: nothing is then concluded from what was read. Never rejects.
   */
  load(): Promise<LoadedConfig>
  /**
   * Calls `hint` when something may have changed, so that nobody waits for the next look. Hints may come too often, and
   * may be missing.
   * @returns what ends that.
   */
  watch(hint: () => void): () => void
}
