import { availableParallelism } from 'node:os'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { processName, processSettings } from '../../src/settings/process-settings.ts'
import { readSettings, type Settings } from '../../src/settings/settings.ts'
import { SETTINGS } from '../../src/settings/settings-table.ts'

function settingsOf(...argv: string[]): Settings {
  const result = readSettings('node', ['--config=x', '--redis=none', ...argv], {})
  if ('problems' in result) throw new Error(result.problems.join('\n'))
  return result.settings
}

describe('the number of processes', () => {
  it('is one unless it is given, and auto is what the machine can run at once', () => {
    expect(settingsOf().processes).toBe(1)
    expect(settingsOf('--processes', '3').processes).toBe(3)
    expect(settingsOf('--processes=auto').processes).toBe(availableParallelism())
    const read = readSettings('node', ['--config=x', '--redis=none'], { INTERMIX_PROCESSES: 'AUTO' })
    expect('settings' in read && read.settings.processes).toBe(availableParallelism())
  })

  it.each(['0', '-1', '257', '2.5', 'all', ''])('is refused as %j, with what would be right', (text) => {
    const read = readSettings('node', ['--config=x', '--redis=none', `--processes=${text}`], {})
    expect('problems' in read && read.problems).toEqual([
      `--processes: "${text}" does not fit; give auto or a number, from 1 to 256`,
    ])
  })

  it('is none of a worker', () => {
    const read = readSettings('worker', ['--config=x', '--redis=redis://h', '--processes=2'], {})
    expect('problems' in read && read.problems[0]).toContain('--processes: not a setting of worker')
  })
})

describe('the settings of one process', () => {
  it('have its part of what bounds the node, and all else as it is', () => {
    const node = settingsOf('--processes=3', '--max-in-flight=100', '--cache-max-bytes=64MiB', '--cache-refresh-rate=0')
    const process = processSettings(node, 2)
    expect(process).toMatchObject({
      process: 2,
      maxInFlight: 34,
      cacheRefreshRate: 0,
      checkTimeoutMs: node.checkTimeoutMs,
    })
    expect(process.cacheMaxBytes).toBe(Math.ceil((64 * 1024 * 1024) / 3))
  })

  it('share out the bounds of memory, and no others', () => {
    const shared = Object.entries(SETTINGS).flatMap(([key, spec]) => ('ofNode' in spec ? [key] : []))
    expect(shared).toEqual([
      'maxInFlight',
      'cacheMemory',
      'cacheMaxEntries',
      'cacheMaxBytes',
      'cacheRefreshRate',
      'spoolDiskMaxBytes',
      'spoolMaxBytes',
    ])
  })

  it('have names that are allowed and differ, however long that of the node is', () => {
    const { regex } = SETTINGS.nodeId.pattern
    const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/)
    fc.assert(
      fc.property(name, fc.integer({ min: 2, max: 256 }), (id, count) => {
        const names = Array.from({ length: count }, (_, at) => processName(id, at + 1))
        expect(new Set(names).size).toBe(count)
        for (const each of names) expect(each).toMatch(regex)
      }),
    )
  })
})
