import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { readSpoolFiles } from '../../src/telemetry/spool-file.ts'

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'intermix-spool-'))
  onTestFinished(() => rmSync(path, { recursive: true }))
  return path
}

const read = (directory: string, process: number, processes: number) =>
  readSpoolFiles(directory, { process, processes }).map(({ path }) => basename(path))

describe('spool files of several processes in one folder', () => {
  it('are each read by one process, whatever the number of processes is and was', () => {
    const node = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9-]{0,20}$/)
    const directory = folder()
    fc.assert(
      fc.property(
        fc.uniqueArray(node, { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 9 }),
        (nodes, count) => {
          const files = nodes.map((name) => `1700000000000-${name}.spool`)
          for (const file of files) writeFileSync(join(directory, file), '')
          const all = Array.from({ length: count }, (_, at) => read(directory, at + 1, count))
          expect(all.flat().toSorted()).toEqual(files.toSorted())
          for (const file of files) rmSync(join(directory, file))
        },
      ),
      { numRuns: 50 },
    )
  })

  it('go to the process that wrote them where there is one of its number', () => {
    const directory = folder()
    for (const name of ['1-n-1', '2-n-2', '3-n-3', '4-n']) writeFileSync(join(directory, `${name}.spool`), '')
    expect(read(directory, 2, 3)).toEqual(['2-n-2.spool'])
    expect(read(directory, 1, 2)).toEqual(['1-n-1.spool', '3-n-3.spool', '4-n.spool'])
  })

  it('are left alone while they are written', () => {
    const directory = folder()
    writeFileSync(join(directory, '1-n-1.spool.part'), 'half')
    expect(read(directory, 1, 1)).toEqual([])
  })
})
