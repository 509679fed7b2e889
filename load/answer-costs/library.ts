// The program with the library, from outside.

import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { LibraryFigures, LibraryMessage } from './library-process.ts'

const PROGRAM = fileURLToPath(new URL('library-process.ts', import.meta.url))

export interface Library {
  measure(seconds: number): Promise<LibraryFigures>
  stop(): Promise<void>
}

/** Starts it and waits until it has all answers. @param node address of a node's gRPC door */
export async function startLibrary(node: string, keys: number): Promise<Library> {
  const child = fork(PROGRAM, [node, String(keys)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await heard(child)
  return {
    async measure(seconds) {
      const answer = heard(child)
      child.send(seconds)
      const message = await answer
      if (!('figures' in message)) throw new Error('the program with the library said something else')
      return message.figures
    },
    async stop() {
      child.kill()
      await ended
    },
  }
}

async function heard(child: ChildProcess): Promise<LibraryMessage> {
  return await new Promise((resolve, reject) => {
    const fail = () => reject(new Error('the program with the library has ended'))
    child.once('exit', fail)
    child.once('message', (message) => {
      child.off('exit', fail)
      resolve(message as LibraryMessage)
    })
  })
}
