// Runs a load in a process of its own.

import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Load, LoadResult } from './load.ts'

const DRIVER = fileURLToPath(new URL('drive-process.ts', import.meta.url))

/** Rejects where the driver ends without a result; what it wrote is on standard error. */
export async function runLoad(load: Load): Promise<LoadResult> {
  const child = fork(DRIVER, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  return await new Promise((resolve, reject) => {
    child.once('message', (result) => resolve(result as LoadResult))
    child.once('error', reject)
    child.once('exit', (code, signal) => reject(new Error(`the driver ended with ${signal ?? code}`)))
    child.send(load)
  })
}
