// An io for commands under test: output kept, files and standard input given.

import type { CommandHost } from '../../src/cli/io.ts'
import { systemClock } from '../../src/kernel/system-clock.ts'
import type { Settings } from '../../src/settings/settings.ts'

export interface TestIo extends CommandHost {
  readonly lines: string[]
  readonly errors: string[]
  /** The settings of the roles that were run; running one ends with 42. */
  readonly started: Settings[]
}

export function testIo(
  options: { files?: Record<string, string>; stdin?: string; env?: Record<string, string> } = {},
): TestIo {
  const lines: string[] = []
  const errors: string[] = []
  const started: Settings[] = []
  return {
    lines,
    errors,
    started,
    version: '9.9.9',
    clock: systemClock,
    random: () => 0.5,
    async runRole(settings) {
      started.push(settings)
      return await Promise.resolve(42)
    },
    out: (text) => lines.push(...text.split('\n')),
    err: (text) => errors.push(...text.split('\n')),
    env: options.env ?? {},
    cwd: process.cwd(),
    fetch,
    readStdin: async () => options.stdin ?? '',
    async readFile(path) {
      const text = options.files?.[path]
      if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
      return text
    },
  }
}
