// The command `intermix`: the only place that reads arguments and environment, and the only one that ends the process.

import { existsSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { type Command, runCommand } from './cli/commands.ts'
import type { CommandIo } from './cli/io.ts'
import { runRole, type StopSignal } from './process/run-role.ts'
import type { Settings } from './settings/settings.ts'
import { createLogger } from './observe/logger.ts'
import { createMeter } from './observe/meter.ts'
import { systemClock, systemRandom } from './observe/system.ts'

const STOP_SIGNALS: readonly StopSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP']

const io: CommandIo = {
  out: (line) => process.stdout.write(`${line}\n`),
  err: (line) => process.stderr.write(`${line}\n`),
  env: process.env,
  cwd: process.cwd(),
  fetch: (input, init) => fetch(input, init),
  readStdin: () => text(process.stdin),
  readFile: (path) => readFile(path, 'utf8'),
}

let onCrash = (error: unknown): void => {
  const { message } = error instanceof Error ? error : { message: String(error) }
  io.err(`intermix: unexpected: ${message}`)
  if (error instanceof Error && error.stack !== undefined) io.err(error.stack)
  process.exit(1)
}
process.on('uncaughtException', (error) => onCrash(error))
process.on('unhandledRejection', (reason) => onCrash(reason))
// Whoever read our output has gone (`intermix … | head`); that is no reason to fail.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

// bin/intermix.js holds the other end of a channel where it started this process, and says it itself where it is this one.
const launcherGone = new Promise<void>((resolve) => process.once('disconnect', resolve))

const version = readVersion()
// The clock's timers keep no process alive, so that waiting on one of them needs this.
const alive = setInterval(() => {}, 3_600_000)
const code = await runCommand(process.argv.slice(2), { io, version, runRole: startRole, others: otherCommands() })
clearInterval(alive)
process.exit(code)

async function startRole(settings: Settings): Promise<number> {
  const { createProcess } = await import('./compose/compose.ts')
  return await runRole(settings, {
    createProcess,
    clock: systemClock,
    random: systemRandom,
    version,
    searchPath: process.env['PATH'] ?? '',
    terminal: process.stdout.isTTY,
    write: (part) => process.stdout.write(part),
    err: (line) => io.err(line),
    onSignal(listener) {
      for (const signal of STOP_SIGNALS) process.on(signal, () => listener(signal))
      void launcherGone.then(() => listener('launcher gone'))
    },
    onCrash(listener) {
      onCrash = listener
    },
    exit: (status) => process.exit(status),
  })
}

/** Loaded when asked for: `check` needs no Redis client. */
function otherCommands(): ReadonlyMap<string, Command> {
  const deadLetters: Command = {
    summary: 'Show what could not be delivered to telemetry backends, send it again or drop it.',
    page: async () => (await import('./cli/dead-letters.ts')).DEAD_LETTERS_PAGE,
    async run(args, commandIo) {
      const { runDeadLetters } = await import('./cli/dead-letters.ts')
      const log = createLogger({
        format: 'pretty',
        level: 'error',
        terminal: false,
        write: (line) => process.stderr.write(line),
      })
      const meter = createMeter({ processMetrics: false })
      return await runDeadLetters(args, commandIo, { clock: systemClock, random: systemRandom, log, meter })
    },
  }
  const expr: Command = {
    summary: 'Evaluate and explain expressions, without a node.',
    run: async (args, commandIo) => await (await import('./cli/expr.ts')).runExpr(args, commandIo),
  }
  return new Map([
    ['expr', expr],
    ['dead-letters', deadLetters],
  ])
}

function readVersion(): string {
  // The sources lie one folder below the package, what the compiler makes of them two.
  const file = ['../package.json', '../../package.json']
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find((path) => existsSync(path))
  const json: unknown = file === undefined ? {} : JSON.parse(readFileSync(file, 'utf8'))
  return (json as { version?: string }).version ?? 'unknown'
}
