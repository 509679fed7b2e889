// The version that this process is to run, as a source of config.

import { ConfigTexts } from '../../config/config-texts.ts'
import type { ConfigSource } from '../../config/config-source.ts'
import type { LoadedConfig } from '../../config/parse-text.ts'
import { inSlices } from '../../config/slices.ts'
import type { Clock } from '../../kernel/ports.ts'
import type { ConfigFile } from '../version.ts'

/** Whoever follows rollouts sets what is loaded; nothing changes by itself. */
export class VersionSource implements ConfigSource {
  readonly name: string
  readonly #clock: Clock
  readonly #texts: ConfigTexts
  #version = ''
  #files: readonly ConfigFile[] = []

  /** @param name what messages call the place that versions come from, without secrets */
  constructor(name: string, clock: Clock) {
    this.name = name
    this.#clock = clock
    this.#texts = new ConfigTexts(name)
  }

  /** What is to be loaded from now on. */
  set(version: string, files: readonly ConfigFile[]): void {
    this.#version = version
    this.#files = files
  }

  fingerprint(): Promise<string> {
    return Promise.resolve(this.#version)
  }

  load(): Promise<LoadedConfig> {
    return inSlices(this.#texts.load(this.#files), this.#clock)
  }

  /** Who sets a version has it looked at. */
  watch(): () => void {
    return () => undefined
  }
}
