import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runCommand } from '../../src/cli/commands.ts'
import { testIo } from './support.ts'

async function validate(...args: readonly string[]) {
  const io = testIo()
  const code = await runCommand(['validate', ...args], io)
  return { code, out: io.lines, err: io.errors }
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

  it('knows rate limits, too', async () => {
    const examples = join(import.meta.dirname, '../../examples')
    const good = await validate(join(examples, 'quickstart'), '--ratelimit-config', join(examples, 'ratelimit'))
    expect(good).toMatchObject({ code: 0, err: [] })
    expect(good.out[0]).toMatch(/, 1 domain of rate limits; 0 errors, 0 warnings$/)
    const bad = await validate(join(examples, 'quickstart'), '--ratelimit-config', join(examples, 'istio'))
    expect(bad.code).toBe(1)
    expect(bad.err.join('\n')).toContain('a domain of rate limits has no field "apiVersion"')
  })

  it('knows rate limits that lie between rules', async () => {
    const examples = join(import.meta.dirname, '../../examples')
    const folder = join(examples, 'limits')
    const good = await validate(folder)
    expect(good).toMatchObject({ code: 0, err: [] })
    expect(good.out[0]).toMatch(/, 1 rule, 1 domain of rate limits; 0 errors, 0 warnings$/)
    expect(await validate(folder, '--ratelimit-config', folder)).toEqual(good)
    const twice = await validate(folder, '--ratelimit-config', join(examples, 'ratelimit'))
    expect(twice.code).toBe(1)
    expect(twice.err.join('\n')).toContain(join(folder, 'shop.yaml'))
    expect(twice.err.join('\n')).toContain(`stands at ${join(examples, 'ratelimit/shop.yaml')}`)
  })

  it('refuses what is no call of it, and adapters that cannot be loaded', async () => {
    expect(await validate()).toMatchObject({
      code: 2,
      err: ['intermix validate: DIR is missing: the folder with the config'],
    })
    expect(await validate('a', 'b', '--adaptors=x')).toMatchObject({
      code: 2,
      err: [
        'intermix validate: --adaptors: no such flag; did you mean --adapters?',
        'intermix validate: b: one folder at a time',
      ],
    })
    const { code, err } = await validate('a', '--adapters=./nowhere.ts')
    expect(code).toBe(2)
    expect(err[0]).toBe('intermix validate: adapters cannot be loaded:')
    expect(err[1]).toContain('./nowhere.ts')
  })
})
