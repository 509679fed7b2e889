// Runs a load in a process of its own.

import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { DriverAnswer } from './drive-process.ts'
import type { Load, LoadResult } from './load.ts'

const DRIVER = fileURLToPath(new URL('drive-process.ts', import.meta.url))

/** @throws Error where the load cannot be driven, or the driver ends without a word. */
export async function runLoad(load: Load): Promise<LoadResult> {
  const child = fork(DRIVER, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const answer = await new Promise<DriverAnswer>((resolve) => {
    child.once('message', (message) => resolve(message as DriverAnswer))
    child.once('error', (error) => resolve({ error: error.message }))
    child.once('exit', (code, signal) => resolve({ error: `it ended with ${signal ?? code}` }))
    child.send(load)
  })
  if ('error' in answer) throw new Error(`the driver: ${answer.error}`)
  return answer.result
}
