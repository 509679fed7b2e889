// Whoever starts the command may be killed without a word: nothing may be left running, the private Redis included.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { findTool } from '../helpers/tools.ts'
import { ROOT } from './intermix.ts'

const started: ChildProcess[] = []
afterEach(() => {
  for (const { pid } of started.splice(0)) endGroup(pid)
})

/** What the launcher started is in its group, unless all of it has ended. */
function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // As it should be.
  }
}

const ADDRESSES = ['grpc', 'http', 'admin', 'prometheus'].map((name) => `--${name}-address=127.0.0.1:0`)
const ROLE = ['all', '--config', 'examples/quickstart', '--log-format', 'json', ...ADDRESSES]

/** A launcher, and all that is started by it: `ended` is when nobody holds its output any more. */
async function launch(command: string, args: readonly string[]) {
  const launcher = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  started.push(launcher)
  let output = ''
  const ended = once(launcher, 'close')
  const ready = new Promise<void>((resolve, reject) => {
    const collect = (chunk: Buffer) => {
      output += chunk.toString()
      if (output.includes('"msg":"started"')) resolve()
    }
    launcher.stdout.on('data', collect)
    launcher.stderr.on('data', collect)
    void ended.then(() => reject(new Error(`it ended instead of starting:\n${output}`)))
  })
  await ready
  return { launcher, ended, output: () => output }
}

/** The private Redis has no part in the output: it is asked. */
async function accepts(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port })
  const answer = await new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
  })
  socket.destroy()
  return answer
}

/** A Node on the path that cannot run the command itself, so that the launcher starts another. */
function olderNode(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  return folders
    .map((folder) => join(folder, 'node'))
    .find((node) => {
      const version = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout
      const major = Number(/^v(\d+)/.exec(version ?? '')?.[1])
      return major >= 20 && major < 24
    })
}

const fork = `require('node:child_process').fork('src/main.ts', process.argv.slice(1), { stdio: 'inherit' })`

/** The package as `npm install --omit=optional` leaves it: without the Node that it brings. */
function withoutOptional(): string {
  const folder = mkdtempSync(join(tmpdir(), 'intermix-omit-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  cpSync(join(ROOT, 'bin'), join(folder, 'bin'), { recursive: true })
  for (const name of ['src', 'package.json']) symlinkSync(join(ROOT, name), join(folder, name))
  return join(folder, 'bin/intermix.js')
}

describe('a package without its optional dependencies', () => {
  it('runs on the Node 24 that starts it', () => {
    const { stdout, stderr } = spawnSync(process.execPath, [withoutOptional(), '--version'], { encoding: 'utf8' })
    expect([stdout, stderr]).toEqual([expect.stringMatching(/^intermix .*\(node 2[4-9]/), ''])
  })

  it('says under an older one what it lacks and how to have it', () => {
    const older = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.1.0' } })`
    const args = ['--import', `data:text/javascript,${older}`, withoutOptional(), '--version']
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    expect([status, stderr]).toEqual([1, expect.stringMatching(/needs Node 24 .* install without --omit=optional/)])
  })
})

describe("V8's settings", () => {
  /** The flags of each process that the launcher became, one after the other. */
  function flagsOf(command: readonly string[], options = '') {
    const tell = '--import data:text/javascript,console.error(JSON.stringify(process.execArgv))'
    const env = { ...process.env, NODE_OPTIONS: `${tell} ${options}` }
    const { stderr, status } = spawnSync(process.execPath, ['bin/intermix.js', ...command], { encoding: 'utf8', env })
    expect(status).toBe(0)
    return stderr
      .split('\n')
      .filter((line) => line.startsWith('['))
      .map((line) => JSON.parse(line) as string[])
  }

  it('are set for a process that serves, but for those that are set already', () => {
    const [semi, growing] = ['--max-semi-space-size=8', '--heap-growing-percent=40']
    expect(flagsOf(['node', '--help'])).toEqual([[], [semi, growing]])
    expect(flagsOf(['node', '--help'], '--max_semi_space_size=16')).toEqual([[], [growing]])
    expect(flagsOf(['validate', '--help'])).toEqual([[]])
  })

  it('are smaller for a sidecar, whose C library is told so, too', () => {
    expect(flagsOf(['sidecar', '--help'])).toEqual([
      [],
      ['--max-semi-space-size=1', '--heap-growing-percent=20', '--no-maglev', '--no-sparkplug', '--optimize-for-size'],
    ])
    const tell = '--import data:text/javascript,console.error(JSON.stringify([process.env.MALLOC_ARENA_MAX]))'
    const bare: NodeJS.ProcessEnv = { ...process.env, NODE_OPTIONS: tell, MALLOC_ARENA_MAX: undefined }
    const arenas = (env: NodeJS.ProcessEnv) =>
      spawnSync(process.execPath, ['bin/intermix.js', 'sidecar', '--help'], { encoding: 'utf8', env }).stderr
    expect(arenas(bare)).toContain('["1"]')
    expect(arenas({ ...bare, MALLOC_ARENA_MAX: '3' })).not.toContain('["1"]')
  })
})

describe('a launcher that is killed', () => {
  it.each([
    ['npm run', 'npm', ['run', 'intermix', '--', ...ROLE], 'SIGKILL'],
    ['npx', 'npm', ['exec', '--no', '--', 'intermix', ...ROLE], 'SIGKILL'],
    ['npx, by a signal that it passes on to its shell', 'npm', ['exec', '--no', '--', 'intermix', ...ROLE], 'SIGTERM'],
    ['a program that forks it', process.execPath, ['-e', fork, ...ROLE], 'SIGKILL'],
    ['the launcher under an older Node', olderNode(), ['bin/intermix.js', ...ROLE], 'SIGKILL'],
  ] as const)('takes the server with it, in good order: %s', async (_name, command, args, signal) => {
    if (command === undefined) return console.warn('skipped: no Node from 20 to 23 on the path')
    const { launcher, ended, output } = await launch(command, args)
    const redis = Number(/private redis-server on 127\.0\.0\.1:(\d+)/.exec(output())?.[1] ?? 0)
    if (findTool('redis-server') !== undefined) expect(await accepts(redis)).toBe(true)
    launcher.kill(signal)
    await ended
    expect(output()).toContain('"msg":"stopped"')
    await expect.poll(() => accepts(redis)).toBe(false)
  })
})
