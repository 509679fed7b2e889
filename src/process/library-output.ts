// What libraries write past our logger: ioredis warns on the console, Node itself on standard error. In a log of JSON
// lines such a line is lost at best.

import { util } from '../kernel/late-modules.ts'

export type LibraryLevel = 'debug' | 'info' | 'warn' | 'error'

const METHODS = { debug: 'debug', log: 'info', info: 'info', warn: 'warn', trace: 'warn', error: 'error' } as const

/** How some begin their lines. */
const LEVEL = /^\[(?:WARN|ERROR)\] /

/**
 * Hands on what is written to the console of this process, and Node's warnings, in place of writing it.
 * @returns puts both back as they were.
 */
export function onLibraryOutput(listener: (level: LibraryLevel, text: string) => void): () => void {
  const before = { ...console }
  for (const [method, level] of Object.entries(METHODS)) {
    console[method as keyof typeof METHODS] = (...parts: readonly unknown[]) =>
      listener(
        level,
        util()
          .format(...parts)
          .replace(LEVEL, ''),
      )
  }
  const printers = process.listeners('warning')
  process.removeAllListeners('warning')
  const warned = ({ name, message }: Error) => listener('warn', `${name}: ${message}`)
  process.on('warning', warned)
  return () => {
    Object.assign(console, before)
    process.off('warning', warned)
    for (const printer of printers) process.on('warning', printer)
  }
}
