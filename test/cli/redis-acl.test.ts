import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { runCommand } from '../../src/cli/commands.ts'
import { REDIS_PLACES, rightsOf } from '../../src/cli/redis-rights.ts'
import { commandsOfScripts } from '../../src/redis/scripts.ts'
import { testIo } from './support.ts'

async function run(args: readonly string[], files?: Record<string, string>) {
  const io = testIo(files === undefined ? {} : { files })
  const code = await runCommand(['redis-acl', ...args], io)
  return { code, lines: io.lines, errors: io.errors }
}

const usersOf = (lines: readonly string[]) => lines.map((line) => line.split(' ')[2])

describe('intermix redis-acl', () => {
  it('prints a command for each user, which takes all rights but those that are named', async () => {
    const { code, lines } = await run(['queue', '--redis-prefix', 'shop', '--mesh', 'west'])
    expect(code).toBe(0)
    expect(usersOf(lines)).toEqual(['shop.west-node', 'shop.west-worker', 'shop.west-operator'])
    for (const line of lines) {
      expect(line).toMatch(/^ACL SETUSER \S+ on resetkeys (~\S+ )+resetchannels -@all (\+[a-z|-]+ ?)+$/)
      expect(line).not.toMatch(/@admin|@dangerous|\+@|~\* |allkeys|nopass/)
    }
  })

  it('names who has something to do there, and refuses where nobody has', async () => {
    expect(usersOf((await run(['cache'])).lines)).toEqual(['intermix-node'])
    expect(usersOf((await run(['revocations'])).lines)).toEqual(['intermix-node'])
    expect(await run(['cache', '--roles', 'worker,operator'])).toMatchObject({
      code: 2,
      lines: [],
      errors: ['intermix redis-acl: --roles: worker, operator have nothing to do there'],
    })
  })

  it('gives the hash of a password, not the password', async () => {
    const hash = createHash('sha256').update('s3cret').digest('hex')
    for (const text of ['s3cret', 's3cret\n', 's3cret\r\n']) {
      const { lines } = await run(['all', '--password-file', 'pw'], { pw: text })
      for (const line of lines) expect(line).toContain(` on resetpass #${hash} resetkeys `)
      expect(lines.join()).not.toContain('s3cret')
    }
    const empty = await run(['all', '--password-file', 'pw'], { pw: '\n' })
    expect(empty).toMatchObject({ code: 2, errors: ['intermix redis-acl: --password-file: pw is empty'] })
    const absent = await run(['all', '--password-file', 'pw'])
    expect(absent).toMatchObject({ code: 2, errors: [expect.stringContaining('--password-file: pw cannot be read')] })
  })

  it('tells wrong words', async () => {
    expect((await run(['queu'])).errors.join()).toContain('did you mean queue?')
    expect((await run(['queue', 'cache'])).errors).toEqual(['intermix redis-acl: cache: one Redis at a time'])
    expect((await run(['sentinels', '--roles', 'node'])).code).toBe(2)
  })

  it('knows every command that a script of ours runs', () => {
    const names = { prefix: 'p', own: 'p' }
    const all = (['all', 'operator'] as const).flatMap(
      (role) => rightsOf({ role, places: REDIS_PLACES, topology: 'single', names })?.commands ?? [],
    )
    const scripts = readdirSync(fileURLToPath(new URL('../../src/redis/scripts/', import.meta.url)))
    // This one is run by tests of scripts alone.
    for (const file of scripts.filter((name) => name !== 'apply-once-2.lua'))
      expect(all, file).toEqual(expect.arrayContaining(commandsOfScripts(file.replace(/-(\d+|n)\.lua$/, ''))))
  })
})
