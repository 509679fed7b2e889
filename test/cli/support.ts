// An io for commands under test: output kept, files and standard input given.

import type { CommandIo } from '../../src/cli/io.ts'

export interface TestIo extends CommandIo {
  readonly lines: string[]
  readonly errors: string[]
}

export function testIo(
  options: { files?: Record<string, string>; stdin?: string; env?: Record<string, string> } = {},
): TestIo {
  const lines: string[] = []
  const errors: string[] = []
  return {
    lines,
    errors,
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
