// The commands of the program in one table: what each is for, and where it is. The help of all comes from it.

import { nearest } from '../kernel/suggest.ts'
import type { Command } from './command.ts'
import { commandHelp, programHelp } from './help.ts'
import { type CommandHost, EXIT } from './io.ts'
import { roleCommand } from './role.ts'

interface Entry {
  readonly heading: 'Processes' | 'Tools'
  readonly summary: string
  /** Loads it when it is asked for: `check` needs neither a Redis client nor the adapters. */
  load(): Command | Promise<Command>
}

const version: Command = {
  usage: '',
  options: {},
  async run(_name, _args, host) {
    host.out(`intermix ${host.version} (node ${process.versions.node})`)
    return await Promise.resolve(EXIT.ok)
  },
}

const help: Command = {
  usage: '[COMMAND]',
  options: {},
  async run(_name, [command], host) {
    if (command !== undefined) return await showHelp(command, host)
    host.out(programHelp(COMMANDS))
    return EXIT.ok
  },
}

/** Every command by its name. */
export const COMMANDS: ReadonlyMap<string, Entry> = new Map(
  Object.entries<Entry>({
    node: {
      heading: 'Processes',
      summary: 'Answer checks and accept reports.',
      load: () => roleCommand('node'),
    },
    worker: {
      heading: 'Processes',
      summary: 'Drain the report queues and call the telemetry backends.',
      load: () => roleCommand('worker'),
    },
    all: {
      heading: 'Processes',
      summary: 'Node and worker in one process: for a first run and small meshes.',
      load: () => roleCommand('all'),
    },
    sidecar: {
      heading: 'Processes',
      summary: 'Answer beside one service or proxy what nodes have answered before, and hand on its reports.',
      load: () => roleCommand('sidecar'),
    },
    check: {
      heading: 'Tools',
      summary: 'Ask a running node whether a request may pass.',
      load: async () => (await import('./check.ts')).check,
    },
    report: {
      heading: 'Tools',
      summary: 'Send reports of requests to a running node.',
      load: async () => (await import('./report.ts')).report,
    },
    explain: {
      heading: 'Tools',
      summary: 'Show which rules match a request and what each of them says.',
      load: async () => (await import('./explain.ts')).explain,
    },
    revoke: {
      heading: 'Tools',
      summary: 'Void cached verdicts on all nodes at once.',
      load: async () => (await import('./revoke.ts')).revoke,
    },
    validate: {
      heading: 'Tools',
      summary: 'Tell everything that is wrong or doubtful about a config folder.',
      load: async () => (await import('./validate.ts')).validate,
    },
    rollout: {
      heading: 'Tools',
      summary: 'Publish a config, and roll it out to all nodes step by step or back.',
      load: async () => (await import('./rollout.ts')).rollout,
    },
    expr: {
      heading: 'Tools',
      summary: 'Evaluate and explain expressions, without a node.',
      load: async () => (await import('./expr.ts')).expr,
    },
    'dead-letters': {
      heading: 'Tools',
      summary: 'Show what could not be delivered to telemetry backends, send it again or drop it.',
      load: async () => (await import('./dead-letters.ts')).deadLetters,
    },
    ledger: {
      heading: 'Tools',
      summary: 'Show where reports are, what became of them, and where something is missing.',
      load: async () => (await import('./ledger.ts')).ledger,
    },
    cache: {
      heading: 'Tools',
      summary: "Show what a node's own cache would find with more memory and with less, and what it saves.",
      load: async () => (await import('./cache.ts')).cache,
    },
    quota: {
      heading: 'Tools',
      summary: 'Show what quotas and rate limits are used for, how a counter stands, and reset it.',
      load: async () => (await import('./quota.ts')).quota,
    },
    'redis-acl': {
      heading: 'Tools',
      summary: 'Print users for Redis that may do what Intermix does, and nothing else.',
      load: async () => (await import('./redis-acl.ts')).redisAcl,
    },
    version: { heading: 'Tools', summary: 'Print the version.', load: () => version },
    help: { heading: 'Tools', summary: 'Print this, or the help of a command.', load: () => help },
  }),
)

const ALIASES: Readonly<Record<string, string>> = {
  '--help': 'help',
  '-h': 'help',
  '--version': 'version',
  '-v': 'version',
}

/** Runs what the arguments ask for. @returns the exit code. */
export async function runCommand(argv: readonly string[], host: CommandHost): Promise<number> {
  const [word, ...args] = argv
  if (word === undefined) {
    host.err(programHelp(COMMANDS))
    return EXIT.usage
  }
  const name = Object.hasOwn(ALIASES, word) ? (ALIASES[word] ?? word) : word
  const command = await COMMANDS.get(name)?.load()
  if (command === undefined) return unknown(name, host)
  if (asksForHelp(args, command)) return await showHelp(name, host)
  return await command.run(name, args, host)
}

async function showHelp(name: string, host: CommandHost): Promise<number> {
  const entry = COMMANDS.get(name)
  if (entry === undefined) return unknown(name, host)
  host.out(commandHelp(name, entry.summary, await entry.load()))
  return EXIT.ok
}

function unknown(name: string, host: CommandHost): number {
  const known = [...COMMANDS.keys()]
  const near = nearest(name, known).join(' or ')
  const meant = near === '' ? `Commands: ${known.join(', ')}.` : `Did you mean ${near}?`
  host.err(`intermix: there is no command "${name}". ${meant}`)
  return EXIT.usage
}

/** Help is asked for by its flags, and by its name where a word says what to do. */
function asksForHelp(args: readonly string[], { actions }: Command): boolean {
  const end = args.indexOf('--')
  const flags = end < 0 ? args : args.slice(0, end)
  return flags.includes('--help') || flags.includes('-h') || (actions !== undefined && args[0] === 'help')
}
