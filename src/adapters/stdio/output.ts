// Where lines go: a stream of the process, a file, or a file that starts anew when it is full.

import { appendFile, mkdir, readdir, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { IntermixError } from '../../kernel/errors.ts'
import type { StdioConfig } from './config.ts'

/** Takes whole lines; settles when they are handed to the system. */
export interface Output {
  write(text: string, now: number): Promise<void>
}

const DAY_MS = 24 * 3_600_000

export function openOutput(config: StdioConfig): Output {
  if (config.logStream === 'STDOUT') return { write: (text) => writeStream(process.stdout, text) }
  if (config.logStream === 'STDERR') return { write: (text) => writeStream(process.stderr, text) }
  return new FileOutput(config)
}

function writeStream(stream: NodeJS.WritableStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => {
      if (error) reject(failed('the output stream', error))
      else resolve()
    })
  })
}

class FileOutput implements Output {
  readonly #config: StdioConfig
  #last: Promise<void> = Promise.resolve()
  #size: number | undefined

  constructor(config: StdioConfig) {
    this.#config = config
  }

  /** One write after the other, so that lines of two batches do not mix and a rotation loses none. */
  write(text: string, now: number): Promise<void> {
    const done = this.#last.then(() => this.#append(text, now))
    this.#last = done.catch(() => undefined)
    return done
  }

  async #append(text: string, now: number): Promise<void> {
    const { outputPath, logStream, maxMegabytesBeforeRotation } = this.#config
    const length = Buffer.byteLength(text)
    try {
      if (this.#size === undefined) {
        await mkdir(dirname(outputPath), { recursive: true })
        this.#size = await stat(outputPath).then(
          (found) => found.size,
          () => 0,
        )
      }
      const full = this.#size > 0 && this.#size + length > maxMegabytesBeforeRotation * 1024 * 1024
      if (logStream === 'ROTATED_FILE' && full) await this.#rotate(now)
      await appendFile(outputPath, text)
      this.#size += length
    } catch (error) {
      this.#size = undefined
      throw failed(outputPath, error)
    }
  }

  async #rotate(now: number): Promise<void> {
    const { outputPath, maxDaysBeforeRotation, maxRotatedFiles } = this.#config
    const stamp = new Date(now).toISOString().replaceAll(':', '-')
    let target = `${outputPath}.${stamp}`
    for (let n = 1; await exists(target); n++) target = `${outputPath}.${stamp}.${n}`
    await rename(outputPath, target)
    this.#size = 0
    const prefix = `${basename(outputPath)}.`
    const old = (await readdir(dirname(outputPath)))
      .filter((name) => /^\d{4}-\d\d-\d\dT/.test(name.slice(prefix.length)) && name.startsWith(prefix))
      .sort()
    const oldest =
      maxDaysBeforeRotation === 0 ? '' : prefix + new Date(now - maxDaysBeforeRotation * DAY_MS).toISOString()
    const excess = maxRotatedFiles === 0 ? 0 : Math.max(0, old.length - maxRotatedFiles)
    const gone = old.filter((name, i) => i < excess || name < oldest)
    await Promise.all(gone.map((name) => unlink(join(dirname(outputPath), name))))
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

function failed(what: string, cause: unknown): IntermixError {
  return new IntermixError('BACKEND_FAILED', `${what} cannot be written`, { cause })
}
