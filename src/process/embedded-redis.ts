// A private redis-server for a first run on one machine: nothing to install or configure, nothing left behind.

import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { pause, within } from '../kernel/deadline.ts'
import type { Clock } from '../kernel/ports.ts'

/** A running private Redis. It ends with this process, however that ends. */
export interface EmbeddedRedis {
  /** With the password in it: not for logs. */
  readonly url: string
  readonly port: number
  readonly pid: number
  /** Resolves when it has ended, by `stop` or by itself. */
  readonly ended: Promise<void>
  stop(): Promise<void>
}

export interface EmbeddedRedisOptions {
  /** Directories to look for `redis-server` in, as in the variable PATH. */
  readonly path: string
  readonly clock: Clock
}

const START_TIMEOUT_MS = 5_000
const STOP_TIMEOUT_MS = 3_000
const POLL_MS = 20
const ATTEMPTS = 3
const MAX_MEMORY = '256mb'

/**
 * Standard input of this shell is a pipe that only we hold: when we end, even by SIGKILL, it reads the end of it and
 * ends the server. The folder with the password goes with it.
 */
const SUPERVISOR = `
exec 3<&0
"$0" "$1/redis.conf" </dev/null >/dev/null 2>&1 &
server=$!
echo "$server"
{ cat <&3 >/dev/null; kill "$server" 2>/dev/null; } &
watcher=$!
wait "$server"
kill "$watcher" 2>/dev/null
rm -rf "$1"
`

/**
 * Starts a redis-server on a free port of 127.0.0.1, without persistence and with a password of its own.
 * @returns `undefined` where the path has no redis-server.
 * @throws Error when there is one that does not start.
 */
export async function startEmbeddedRedis(options: EmbeddedRedisOptions): Promise<EmbeddedRedis | undefined> {
  const binary = await findBinary(options.path)
  if (binary === undefined) return undefined
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(binary, options.clock)
    } catch (error) {
      // Somebody else may have taken the port between its choice and its use.
      if (attempt === ATTEMPTS) throw error
    }
  }
}

async function findBinary(path: string): Promise<string | undefined> {
  for (const directory of path.split(delimiter).filter((part) => part !== '')) {
    const candidate = join(directory, 'redis-server')
    const usable = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (usable) return candidate
  }
  return undefined
}

async function start(binary: string, clock: Clock): Promise<EmbeddedRedis> {
  const port = await freePort()
  const password = randomBytes(24).toString('hex')
  const directory = await mkdtemp(join(tmpdir(), 'intermix-'))
  await writeFile(join(directory, 'redis.conf'), configuration({ port, password, directory }), { mode: 0o600 })
  // Its own session: Ctrl-C in a terminal must reach us only, so that the last reports still find their queue.
  const shell = spawn('/bin/sh', ['-c', SUPERVISOR, binary, directory], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  })
  const ended = new Promise<void>((resolve) => {
    shell.once('error', () => resolve())
    shell.once('exit', () => resolve())
  })
  // Writing to it is never needed; its other end may close first.
  shell.stdin.on('error', () => {})
  const stop = async () => {
    shell.stdin.end()
    await settledWithin(ended, STOP_TIMEOUT_MS, clock)
    if (shell.exitCode === null && shell.signalCode === null) shell.kill('SIGKILL')
    await rm(directory, { recursive: true, force: true })
  }
  try {
    const pid = await firstLine(shell, ended)
    await answers({ port, password, clock, ended })
    for (const handle of [shell, shell.stdin, shell.stdout]) (handle as { unref?(): void }).unref?.()
    return { url: `redis://:${password}@127.0.0.1:${port}`, port, pid, ended, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function configuration({ port, password, directory }: { port: number; password: string; directory: string }): string {
  return [
    `port ${port}`,
    'bind 127.0.0.1',
    `requirepass ${password}`,
    `dir "${directory}"`,
    'save ""',
    'appendonly no',
    `maxmemory ${MAX_MEMORY}`,
    // One server for both roles: queues must not be evicted, and verdicts expire by themselves.
    'maxmemory-policy noeviction',
    '',
  ].join('\n')
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no free port on 127.0.0.1')
  return address.port
}

async function firstLine(shell: ChildProcess, ended: Promise<void>): Promise<number> {
  const line = new Promise<string>((resolve) => {
    shell.stdout?.once('data', (chunk: Buffer) => resolve(chunk.toString('utf8')))
  })
  const pid = Number.parseInt((await Promise.race([line, ended])) ?? '', 10)
  if (Number.isNaN(pid)) throw new Error('redis-server could not be started')
  return pid
}

interface Probe {
  readonly port: number
  readonly password: string
  readonly clock: Clock
  readonly ended: Promise<void>
}

/** Waits until the server answers with our password: another process on the port would not. */
async function answers({ port, password, clock, ended }: Probe): Promise<void> {
  let over = false
  void ended.then(() => {
    over = true
  })
  const deadline = clock.monotonic() + START_TIMEOUT_MS
  while (!(await ping(port, password))) {
    if (over) throw new Error('redis-server ended while it started')
    if (clock.monotonic() > deadline) throw new Error(`redis-server did not answer within ${START_TIMEOUT_MS} ms`)
    await pause(clock, POLL_MS)
  }
}

function ping(port: number, password: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.setTimeout(1_000, () => socket.destroy())
    let text = ''
    socket.once('connect', () => socket.write(`AUTH ${password}\r\nPING\r\n`))
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      if (text.includes('\r\n') && (text.startsWith('-') || text.includes('PONG'))) socket.destroy()
    })
    socket.once('error', () => socket.destroy())
    socket.once('close', () => resolve(text.startsWith('+OK') && text.includes('+PONG')))
  })
}

async function settledWithin(promise: Promise<void>, ms: number, clock: Clock): Promise<void> {
  await within(clock, ms, promise, () => undefined)
}
