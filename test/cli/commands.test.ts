import { describe, expect, it } from 'vitest'
import { type CommandHost, runCommand } from '../../src/cli/commands.ts'
import { flagOf, variableOf } from '../../src/settings/options.ts'
import type { Settings } from '../../src/settings/settings.ts'
import { ROLES, SETTINGS, type SettingSpec } from '../../src/settings/settings-table.ts'
import { testIo } from './support.ts'

function host() {
  const io = testIo()
  const started: Settings[] = []
  const called: (readonly string[])[] = []
  const commandHost: CommandHost = {
    io,
    version: '9.9.9',
    runRole: async (settings) => {
      started.push(settings)
      return 42
    },
    others: new Map([
      [
        'expr',
        {
          summary: 'Evaluate expressions.',
          run: async (args: readonly string[]) => {
            called.push(args)
            return 7
          },
        },
      ],
    ]),
  }
  const run = (...argv: string[]) => runCommand(argv, commandHost)
  return { io, started, called, run, text: () => io.lines.join('\n') }
}

const settings: Readonly<Record<string, SettingSpec>> = SETTINGS

describe('the commands', () => {
  it('run a role with its settings and pass its exit code on', async () => {
    const { run, started } = host()
    expect(await run('all', '--config', 'x', '--log-level=debug')).toBe(42)
    expect(started[0]).toMatchObject({ role: 'all', config: 'x', logLevel: 'debug' })
  })

  it('print every problem of the settings, each on a line, and start nothing', async () => {
    const { run, started, io } = host()
    expect(await run('worker', '--redis-timeout=x', '--http-address=:1')).toBe(2)
    expect(started).toEqual([])
    expect(io.errors).toHaveLength(5)
    expect(io.errors.every((line) => line.startsWith('intermix worker'))).toBe(true)
  })

  it('hand arguments on to commands with their own', async () => {
    const { run, called } = host()
    expect(await run('expr', '--help', 'a == b')).toBe(7)
    expect(await run('help', 'expr')).toBe(7)
    expect(called).toEqual([['--help', 'a == b'], ['--help']])
  })

  it('print the version', async () => {
    for (const argument of ['version', '--version', '-v']) {
      const { run, text } = host()
      expect(await run(argument)).toBe(0)
      expect(text()).toContain('intermix 9.9.9')
    }
  })

  it('suggest a command for a mistyped one', async () => {
    const { run, io } = host()
    expect(await run('chekc')).toBe(2)
    expect(io.errors.join()).toContain('Did you mean check?')
    expect(await run('constructor')).toBe(2)
    expect(await run('help', 'nod')).toBe(2)
    expect(io.errors.at(-1)).toContain('Did you mean node?')
  })
})

describe('the help', () => {
  it('of the program lists every command', async () => {
    for (const argument of ['help', '--help', '-h']) {
      const { run, text } = host()
      expect(await run(argument)).toBe(0)
      for (const name of [...ROLES, 'check', 'report', 'expr', 'version', 'help'])
        expect(text()).toMatch(new RegExp(`^  ${name} `, 'm'))
    }
    const bare = host()
    expect(await bare.run()).toBe(2)
    expect(bare.io.errors.join('\n')).toContain('Usage: intermix COMMAND')
  })

  it.each(ROLES)('of %s lists exactly its settings with flag, variable and default', async (role) => {
    const { run, text } = host()
    expect(await run(role, '--help')).toBe(0)
    for (const [key, spec] of Object.entries(settings)) {
      const listed = new RegExp(`^  ${flagOf(key)} `, 'm').test(text())
      expect([key, listed]).toEqual([key, spec.roles.includes(role)])
      expect(text().includes(`${variableOf(key)}]`)).toBe(spec.roles.includes(role))
    }
    expect(text()).toMatch(/--redis-timeout DURATION\n.*\n.*default: 50ms/)
  })

  it('of check and report shows flags, short ones and examples', async () => {
    for (const name of ['check', 'report']) {
      const { run, text } = host()
      expect(await run('help', name)).toBe(0)
      expect(text()).toContain('-a, --attribute NAME=VALUE')
      expect(text()).toContain('INTERMIX_ADDRESS')
      expect(text()).toContain('Examples:')
    }
  })

  it('keeps to 100 columns', async () => {
    for (const page of [['help'], ['node', '--help'], ['all', '--help'], ['check', '--help'], ['report', '--help']]) {
      const { run, io } = host()
      await run(...page)
      expect(io.lines.filter((line) => line.length > 100)).toEqual([])
    }
  })
})
