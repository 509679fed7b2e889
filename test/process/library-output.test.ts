import { once } from 'node:events'
import { describe, expect, it, onTestFinished } from 'vitest'
import { onLibraryOutput } from '../../src/process/library-output.ts'

describe('what a library writes', () => {
  it('to the console, and what Node warns of, is handed on with its level, and not when that has ended', async () => {
    const heard: string[] = []
    const before = { ...console }
    const printers = process.listeners('warning')
    const restore = onLibraryOutput((level, text) => heard.push(`${level} ${text}`))
    onTestFinished(restore)
    console.warn('[WARN] %s of %d', 'one', 2)
    console.log({ a: 1 })
    console.error(new Error('no').message)
    console.debug('fine')
    process.emitWarning('old', 'DeprecationWarning')
    await once(process, 'warning')
    restore()
    expect(heard).toEqual(['warn one of 2', 'info { a: 1 }', 'error no', 'debug fine', 'warn DeprecationWarning: old'])
    expect([{ ...console }, process.listeners('warning')]).toEqual([before, printers])
  })
})
