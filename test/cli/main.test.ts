import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const folders: string[] = []

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true })
})

/** Runs the real command. */
async function intermix(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [main, ...args], { env: { ...process.env, ...env } })
  child.stdin.end()
  const code = new Promise<number | null>((resolve) => {
    child.once('exit', resolve)
  })
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { code: await code, out, err }
}

describe('the command intermix', () => {
  it('prints its version and its help', async () => {
    expect(await intermix(['version'])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^intermix \d+\.\d+\.\d+ /),
    })
    expect(await intermix(['--help'])).toMatchObject({ code: 0, out: expect.stringContaining('Usage: intermix') })
  })

  it('exits with 2 and every problem for wrong flags and variables, without a stack', async () => {
    const { code, out, err } = await intermix(['node', '--log-levle=debug'], { INTERMIX_REDIS_TIMEUOT: '1s' })
    expect(code).toBe(2)
    expect(out).toBe('')
    expect(err).toContain('--log-levle: no such flag; did you mean --log-level?')
    expect(err).toContain('INTERMIX_REDIS_TIMEUOT: no such variable; did you mean INTERMIX_REDIS_TIMEOUT?')
    expect(err).toContain('--config (or INTERMIX_CONFIG) is missing')
    expect(err).not.toContain('    at ')
  })

  it('validates a folder: 0 for a good config, 1 with the places for a bad one, 2 without a folder', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'intermix-validate-'))
    folders.push(folder)
    const rule = (match: string) => `apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: {name: deny, namespace: default}
spec: {compiledAdapter: denier}
---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: {name: nothing, namespace: default}
spec: {compiledTemplate: checknothing}
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: {name: all, namespace: default}
spec:
  match: ${match}
  actions: [{handler: deny, instances: [nothing]}]
`
    await writeFile(join(folder, 'rule.yaml'), rule('"true"'))
    const good = await intermix(['validate', folder])
    expect([good.code, good.err]).toEqual([0, expect.not.stringContaining('error:')])
    await writeFile(join(folder, 'rule.yaml'), rule('nowhere == "x"'))
    const bad = await intermix(['validate', folder])
    expect(bad.code).toBe(1)
    expect(bad.err).toMatch(/rule\.yaml:15:\d+: error: /)
    expect((await intermix(['validate'])).code).toBe(2)
  })
})
