// The files of versions: from the disk where they are, else from Redis.

import type { Logger } from '../../kernel/ports.ts'
import type { ConfigFile } from '../version.ts'
import type { VersionStore } from '../version-store.ts'
import type { VersionDisk } from './version-disk.ts'

export class FollowedVersions {
  readonly #store: Pick<VersionStore, 'read'>
  readonly #disk: VersionDisk | undefined
  readonly #log: Logger

  /** @param disk `undefined`: nothing outlives the process */
  constructor(store: Pick<VersionStore, 'read'>, disk: VersionDisk | undefined, log: Logger) {
    this.#store = store
    this.#disk = disk
    this.#log = log
  }

  /** The files, which are on the disk from then on; `undefined` where they cannot be had now. Never rejects. */
  async files(id: string): Promise<readonly ConfigFile[] | undefined> {
    const kept = await this.#disk?.read(id)
    if (kept !== undefined) return kept
    try {
      const version = await this.#store.read(id)
      if (version === undefined) {
        this.#log.error({ version: id }, 'Redis does not have the files of a version: what runs is kept')
        return undefined
      }
      await this.#disk?.keep(id, version.files)
      return version.files
    } catch (error) {
      this.#log.warn({ err: error, version: id }, 'the files of a version cannot be read: what runs is kept')
      return undefined
    }
  }

  /** Lets go of what no start could need. */
  async tidy(): Promise<void> {
    await this.#disk?.tidy()
  }
}
