// The command `intermix`: the only place that reads arguments and environment, and the only one that ends the process.

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { runCommand } from './cli/commands.ts'
import type { CommandHost } from './cli/io.ts'
import { onLibraryOutput } from './process/library-output.ts'
import { type RoleHost, runRole, type StopSignal } from './process/run-role.ts'
import type { Settings } from './settings/settings.ts'
import { files } from './kernel/late-modules.ts'
import { systemClock, systemRandom } from './kernel/system-clock.ts'

const STOP_SIGNALS: readonly StopSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP']

const host: CommandHost = {
  out: (line) => process.stdout.write(`${line}\n`),
  err: (line) => process.stderr.write(`${line}\n`),
  env: process.env,
  cwd: process.cwd(),
  fetch: (input, init) => fetch(input, init),
  readStdin,
  readFile: (path) => files().readFile(path, 'utf8'),
  clock: systemClock,
  random: systemRandom,
  version: readVersion(),
  runRole: startRole,
}

let onCrash = (error: unknown): void => {
  const { message } = error instanceof Error ? error : { message: String(error) }
  host.err(`intermix: unexpected: ${message}`)
  if (error instanceof Error && error.stack !== undefined) host.err(error.stack)
  process.exit(1)
}
process.on('uncaughtException', (error) => onCrash(error))
process.on('unhandledRejection', (reason) => onCrash(reason))
// Whoever read our output has gone (`intermix … | head`); that is no reason to fail.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

// Until a process has its log, and in tools: what libraries write is told apart from what was asked for.
onLibraryOutput((level, text) => {
  if (level === 'warn' || level === 'error') host.err(`intermix: from a library: ${text}`)
})

// bin/intermix.js holds the other end of a channel where it started this process, and says it itself where it is this one.
const launcherGone = new Promise<void>((resolve) => process.once('disconnect', resolve))

// The clock's timers keep no process alive, so that waiting on one of them needs this.
const alive = setInterval(() => {}, 3_600_000)
const args = process.argv.slice(2)
// A serving process has its order over a channel, and no arguments.
const isServing = args.length === 0 && process.send !== undefined
const code = (isServing ? await serve() : undefined) ?? (await runCommand(args, host))
clearInterval(alive)
process.exit(code)

/** @returns `undefined` where it is no process that a node made. */
async function serve(): Promise<number | undefined> {
  const [{ isServingProcess, parentChannel }, { ProcessLink }, { runServingProcess }] = await Promise.all([
    import('./process/cluster.ts'),
    import('./process/process-link.ts'),
    import('./process/serving-process.ts'),
  ])
  if (!isServingProcess) return undefined
  return await runServingProcess(roleHost(), new ProcessLink(parentChannel(), systemClock))
}

async function readStdin(): Promise<string> {
  const { text } = await import('node:stream/consumers')
  return await text(process.stdin)
}

async function startRole(settings: Settings): Promise<number> {
  if (settings.processes === 1) return await runRole(settings, roleHost())
  const [{ runNode }, { spawnServingProcess }] = await Promise.all([
    import('./process/run-node.ts'),
    import('./process/cluster.ts'),
  ])
  const spawn = () => spawnServingProcess(fileURLToPath(import.meta.url))
  return await runNode(settings, { ...roleHost(), spawn })
}

function roleHost(): RoleHost {
  return {
    // What serves takes a while to load, and the parent of several processes does without.
    async createProcess(role, ...given) {
      const { createProcess } =
        role === 'sidecar' ? await import('./compose/sidecar.ts') : await import('./compose/compose.ts')
      return await createProcess(role, ...given)
    },
    clock: systemClock,
    random: systemRandom,
    version: host.version,
    searchPath: process.env['PATH'] ?? '',
    terminal: process.stdout.isTTY,
    write: (part) => process.stdout.write(part),
    err: (line) => host.err(line),
    onSignal(listener) {
      for (const signal of STOP_SIGNALS) process.on(signal, () => listener(signal))
      void launcherGone.then(() => listener('launcher gone'))
    },
    onCrash(listener) {
      onCrash = listener
    },
    onLibraryOutput,
    exit: (status) => process.exit(status),
  }
}

function readVersion(): string {
  // The sources lie one folder below the package, what the compiler makes of them two.
  const file = ['../package.json', '../../package.json']
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find((path) => existsSync(path))
  const json: unknown = file === undefined ? {} : JSON.parse(readFileSync(file, 'utf8'))
  return (json as { version?: string }).version ?? 'unknown'
}
