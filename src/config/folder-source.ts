// A folder as a source of config: its files are read by `load.ts`, its file events are hints.

import { watch } from 'node:fs'
import type { Clock, Logger } from '../kernel/ports.ts'
import type { ConfigSource } from './config-source.ts'
import { ConfigFolder } from './load.ts'
import { inSlices } from './slices.ts'

/** Where file events cannot be had, or end, the log says so once: the folder is looked at all the same. */
export function folderSource(folder: string, { clock, log }: { clock: Clock; log: Logger }): ConfigSource {
  const files = new ConfigFolder(folder, (work) => inSlices(work, clock))
  return {
    name: folder,
    fingerprint: () => files.fingerprint(),
    load: () => files.load(),
    watch(hint) {
      try {
        const watcher = watch(folder, { persistent: false }, hint)
        watcher.on('error', (error) => log.warn({ error }, 'file events ended; the config folder is polled'))
        return () => watcher.close()
      } catch (error) {
        log.warn({ error }, 'no file events here; the config folder is polled')
        return () => undefined
      }
    },
  }
}
