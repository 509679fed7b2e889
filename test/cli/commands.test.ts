import { describe, expect, it } from 'vitest'
import type { Command } from '../../src/cli/command.ts'
import { COMMANDS, runCommand } from '../../src/cli/commands.ts'
import { flagOf, readOptions, variableOf } from '../../src/settings/options.ts'
import { ROLES, type SettingSpec } from '../../src/settings/setting-spec.ts'
import { SETTINGS } from '../../src/settings/settings-table.ts'
import { testIo } from './support.ts'

async function run(...argv: string[]) {
  const io = testIo()
  const code = await runCommand(argv, io)
  return { code, out: io.lines.join('\n'), lines: io.lines, errors: io.errors, started: io.started }
}

const settings: Readonly<Record<string, SettingSpec>> = SETTINGS

describe('the commands', () => {
  it('run a role with its settings and pass its exit code on', async () => {
    const { code, started } = await run('all', '--config', 'x', '--log-level=debug')
    expect(code).toBe(42)
    expect(started).toEqual([expect.objectContaining({ role: 'all', config: 'x', logLevel: 'debug' })])
  })

  it('print every problem of the settings, each on a line, and start nothing', async () => {
    const { code, started, errors } = await run('worker', '--redis-timeout=x', '--http-address=:1')
    expect([code, started]).toEqual([2, []])
    expect(errors).toHaveLength(5)
    expect(errors.every((line) => line.startsWith('intermix worker'))).toBe(true)
  })

  it('take what follows -- for arguments, also what asks for help elsewhere', async () => {
    const { code, errors } = await run('expr', 'eval', '--', '-1 < --help', '-h')
    expect([code, errors]).toEqual([2, ['intermix expr: -h: one expression at a time; put it into quotes']])
    expect(await run('expr', 'eval', '--dialect=CEL', '--', '-1 < 2')).toMatchObject({ code: 0, out: 'true' })
  })

  it('print the version', async () => {
    for (const argument of ['version', '--version', '-v']) {
      expect(await run(argument)).toMatchObject({ code: 0, out: expect.stringContaining('intermix 9.9.9') })
    }
  })

  it.each([...COMMANDS.keys()])('suggest %s for a mistyped one', async (name) => {
    for (const argv of [[`${name}x`], ['help', `${name}x`]]) {
      const { code, errors } = await run(...argv)
      expect([code, errors]).toEqual([2, [`intermix: there is no command "${name}x". Did you mean ${name}?`]])
    }
  })

  it('are listed for what is like none of them', async () => {
    for (const word of ['constructor', '__proto__', '-x', 'expr-test']) {
      const { code, errors } = await run(word)
      expect(code).toBe(2)
      expect(errors.join()).toMatch(
        /there is no command ".*"\. Commands: node, worker, all, sidecar, check, .*, version, help\./,
      )
    }
  })
})

describe('the help', () => {
  it('of the program lists every command', async () => {
    for (const argument of ['help', '--help', '-h']) {
      const { code, lines } = await run(argument)
      expect(code).toBe(0)
      for (const [name, { summary }] of COMMANDS) expect(lines).toContain(`  ${name.padEnd(12)}  ${summary}`)
    }
    const bare = await run()
    expect(bare.code).toBe(2)
    expect(bare.errors.join('\n')).toContain('Usage: intermix COMMAND')
  })

  it.each(ROLES)('of %s lists exactly its settings with flag, variable and default', async (role) => {
    const { out } = await run(role, '--help')
    for (const [key, spec] of Object.entries(settings)) {
      const listed = new RegExp(`^  ${flagOf(key)} `, 'm').test(out)
      expect([key, listed]).toEqual([key, spec.roles.includes(role)])
      expect(out.includes(`${variableOf(key)}]`)).toBe(spec.roles.includes(role))
    }
    expect(out).toMatch(/--shutdown-timeout DURATION\n.*\n.*default: 10s/)
  })

  it('of check and report shows flags, short ones and examples', async () => {
    for (const name of ['check', 'report']) {
      const { out } = await run('help', name)
      expect(out).toContain('-a, --attribute NAME=VALUE')
      expect(out).toContain('INTERMIX_ADDRESS')
      expect(out).toContain('Examples:')
    }
  })
})

const flagsIn = (text: string) => text.match(/(?<![\w-])--[a-z][a-z0-9-]*/g) ?? []

/** The words of a line as a shell takes them apart. */
const wordsOf = (line: string) => (line.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll("'", ''))

describe.each([...COMMANDS])('the help of %s', (name, entry) => {
  const text = async () => (await run(name, '--help')).out
  const page = async (): Promise<Command> => await entry.load()

  it('is the same however it is asked for', async () => {
    const asked =
      name === 'help'
        ? [['help', 'help']]
        : [
            [name, '--help'],
            [name, 'x', '-h'],
            ['help', name],
          ]
    if ((await page()).actions !== undefined) asked.push([name, 'help'])
    const answers = await Promise.all(asked.map((argv) => run(...argv)))
    for (const { code, out } of answers) expect([code, out]).toEqual([0, answers[0]?.out])
    const { usage } = await page()
    expect(answers[0]?.out.split('\n').slice(0, 3)).toEqual([
      `Usage: intermix ${name} ${usage}`.trimEnd(),
      '',
      entry.summary,
    ])
  })

  it('keeps to 100 columns', async () => {
    expect((await text()).split('\n').filter((line) => line.length > 100)).toEqual([])
  })

  it('shows every flag, variable and action', async () => {
    const { options, actions = {} } = await page()
    const shown = await text()
    for (const [key, { short, env }] of Object.entries(options)) {
      expect(shown).toMatch(new RegExp(`^  ${short === undefined ? '' : `-${short}, `}${flagOf(key)} \\S`, 'm'))
      expect([key, shown.includes(variableOf(key))]).toEqual([key, env !== false])
    }
    const lines = shown.split('\n').map((line) => line.trim().split(/ {2,}/))
    for (const [action, { usage, summary }] of Object.entries(actions)) {
      expect(lines).toContainEqual([`${action} ${usage}`.trimEnd(), summary])
    }
  })

  it('names no flag that does not exist', async () => {
    const { options, usage, examples = [] } = await page()
    const own = Object.keys(options).map(flagOf)
    for (const flag of [usage, ...examples].flatMap(flagsIn)) expect(own).toContain(flag)
    const others = [...Object.keys(SETTINGS).map(flagOf), '--help']
    for (const flag of flagsIn(await text())) expect([...own, ...others]).toContain(flag)
  })

  it('has examples that can be called', async () => {
    const { options, actions, examples = [] } = await page()
    for (const example of examples) {
      const [program, command, ...args] = wordsOf(example)
      expect([program, command]).toEqual(['intermix', name])
      const { problems, positionals } = readOptions(options, args, {})
      expect(problems).toEqual([])
      if (actions !== undefined) expect(Object.keys(actions)).toContain(positionals[0])
      // These need nothing but what they say.
      if (name === 'expr') expect(await run(name, ...args)).toMatchObject({ code: 0, errors: [] })
    }
  })

  it('has flags that are suggested for mistyped ones', async () => {
    for (const flag of Object.keys((await page()).options).map(flagOf)) {
      const { code, errors } = await run(name, `${flag}x=1`)
      expect(code).toBe(2)
      expect(errors.join('\n')).toMatch(new RegExp(`${flag}x: no such flag; did you mean (--\\S+ or )?${flag}\\b`))
    }
  })
})
