import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runValidate } from '../../src/cli/validate.ts'
import { TEST_ADAPTERS } from '../config/adapters.ts'

async function validate(folder: string) {
  const out: string[] = []
  const err: string[] = []
  const options = {
    adapters: TEST_ADAPTERS,
    out: (line: string) => out.push(line),
    err: (line: string) => err.push(line),
  }
  const code = await runValidate(folder, options)
  return { code, out, err }
}

describe('intermix validate', () => {
  it('prints every problem and a summary, and fails', async () => {
    const { code, out, err } = await validate(join(import.meta.dirname, '../fixtures/bad-config'))
    expect(code).toBe(1)
    expect(err.length).toBeGreaterThan(60)
    expect(err.find((line) => line.includes('unknown-kind.yaml:2:7: error'))).toBeDefined()
    expect(out).toHaveLength(1)
    expect(out[0]).toMatch(/^\d+ objects, \d+ rules; \d+ errors, \d+ warnings$/)
  })
})
