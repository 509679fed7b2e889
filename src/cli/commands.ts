// The commands of the program: how each is called, what it is for, and what runs it.

import { nearest } from '../kernel/suggest.ts'
import { CHECK_PAGE, runCheck } from './check.ts'
import { EXPLAIN_PAGE, runExplain } from './explain.ts'
import { type CommandLine, type CommandPage, commandHelp, programHelp } from './help.ts'
import { type CommandIo, EXIT } from './io.ts'
import { REPORT_PAGE, runReport } from './report.ts'
import { REVOKE_PAGE, runRevoke } from './revoke.ts'
import { readSettings, type Settings, settingsOf } from '../settings/settings.ts'
import { ROLES, type Role } from '../settings/settings-table.ts'
import { runValidateCommand, VALIDATE_PAGE } from './validate-command.ts'

/** A command that is no role. */
export interface Command {
  readonly summary: string
  /** Its help, loaded when asked for; without one it answers `--help` itself. */
  page?(): CommandPage | Promise<CommandPage>
  run(args: readonly string[], io: CommandIo): Promise<number>
}

/** What main brings to the commands: the outside world, and what only main can run. */
export interface CommandHost {
  readonly io: CommandIo
  readonly version: string
  /** Runs a node or worker until a signal ends it. */
  runRole(settings: Settings): Promise<number>
  /** Further commands by name. */
  readonly others: ReadonlyMap<string, Command>
}

const tool = (page: CommandPage, run: Command['run']): Command => ({ summary: page.summary, page: () => page, run })

const TOOLS: ReadonlyMap<string, Command> = new Map([
  ['check', tool(CHECK_PAGE, runCheck)],
  ['report', tool(REPORT_PAGE, runReport)],
  ['explain', tool(EXPLAIN_PAGE, runExplain)],
  ['revoke', tool(REVOKE_PAGE, runRevoke)],
  ['validate', tool(VALIDATE_PAGE, runValidateCommand)],
])

const ROLE_SUMMARIES: Readonly<Record<Role, string>> = {
  node: 'Answer checks and accept reports.',
  worker: 'Drain the report queues and call the telemetry backends.',
  all: 'Node and worker in one process: for a first run and small meshes.',
}

/** Runs what the arguments ask for. @returns the exit code. */
export async function runCommand(argv: readonly string[], host: CommandHost): Promise<number> {
  const { io } = host
  const [name, ...args] = argv
  if (name === undefined) {
    io.err(programPage(host))
    return EXIT.usage
  }
  if (name === 'help' || name === '--help' || name === '-h') return await help(args[0], host)
  if (name === 'version' || name === '--version' || name === '-v') {
    io.out(`intermix ${host.version} (node ${process.versions.node})`)
    return EXIT.ok
  }
  const role = ROLES.find((candidate) => candidate === name)
  const command = commandOf(name, host)
  if (role === undefined && command === undefined) return unknown(name, host)
  if (asksForHelp(args) && (role !== undefined || command?.page !== undefined)) return await help(name, host)
  if (role !== undefined) return await startRole(role, args, host)
  return command === undefined ? EXIT.usage : await command.run(args, io)
}

function commandOf(name: string, host: CommandHost): Command | undefined {
  return TOOLS.get(name) ?? host.others.get(name)
}

async function startRole(role: Role, args: readonly string[], host: CommandHost): Promise<number> {
  const result = readSettings(role, args, host.io.env)
  if ('settings' in result) return await host.runRole(result.settings)
  for (const problem of result.problems) host.io.err(`intermix ${role}: ${problem}`)
  host.io.err(`intermix ${role} --help lists all settings.`)
  return EXIT.usage
}

async function help(name: string | undefined, host: CommandHost): Promise<number> {
  if (name === undefined) {
    host.io.out(programPage(host))
    return EXIT.ok
  }
  const role = ROLES.find((candidate) => candidate === name)
  const command = commandOf(name, host)
  const page = role === undefined ? await command?.page?.() : rolePage(role)
  if (page === undefined) return command === undefined ? unknown(name, host) : await command.run(['--help'], host.io)
  host.io.out(commandHelp(page))
  return EXIT.ok
}

function rolePage(role: Role): CommandPage {
  return {
    usage: `${role} --config DIR [flags]`,
    summary: ROLE_SUMMARIES[role],
    options: settingsOf(role),
    notes: [
      'Durations have a unit (50ms, 10s, 1h30m), sizes may have one (64MiB). SIGTERM finishes what is in flight and ends; a second signal ends at once.',
    ],
  }
}

function programPage(host: CommandHost): string {
  const lines = (entries: readonly (readonly [string, string])[]): CommandLine[] =>
    entries.map(([name, summary]) => ({ name, summary }))
  return programHelp([
    ['Processes', lines(ROLES.map((role) => [role, ROLE_SUMMARIES[role]]))],
    [
      'Tools',
      lines([
        ...[...TOOLS, ...host.others].map(([name, { summary }]) => [name, summary] as const),
        ['version', 'Print the version.'],
        ['help', 'Print this, or the help of a command.'],
      ]),
    ],
  ])
}

function unknown(name: string, host: CommandHost): number {
  const known = [...ROLES, ...TOOLS.keys(), ...host.others.keys(), 'version', 'help']
  const near = nearest(name, known).join(' or ')
  const meant = near === '' ? `Commands: ${known.join(', ')}.` : `Did you mean ${near}?`
  host.io.err(`intermix: there is no command "${name}". ${meant}`)
  return EXIT.usage
}

function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  const flags = end < 0 ? args : args.slice(0, end)
  return flags.includes('--help') || flags.includes('-h')
}
