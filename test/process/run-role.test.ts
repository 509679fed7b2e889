import { afterEach, describe, expect, it } from 'vitest'
import type { CreateProcess, Started } from '../../src/compose/running-process.ts'
import type { LibraryLevel } from '../../src/process/library-output.ts'
import { type RoleHost, runRole, type StopCause } from '../../src/process/run-role.ts'
import { readSettings, type Settings } from '../../src/settings/settings.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { Clock } from '../../src/kernel/ports.ts'
import { systemClock } from '../../src/kernel/system-clock.ts'
import { FakeClock } from '../helpers/clock.ts'
import { startRedis } from '../helpers/redis.ts'

const cleanups: (() => void | Promise<void>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

function settingsOf(...argv: string[]): Settings {
  const result = readSettings('all', ['--config=examples', '--admin-address=127.0.0.1:0', '--node-id=n1', ...argv], {})
  if ('problems' in result) throw new Error(result.problems.join('\n'))
  return result.settings
}

const addresses = { http: '0.0.0.0:8080' }
const quick: CreateProcess = async () => ({
  start: async () => ({ addresses, facts: { config: '3 rules, 2 handlers' } }),
  stop: async () => {},
  debug: new Map([['cache', () => ({ entries: 3 })]]),
})

interface LaunchOptions {
  readonly create?: CreateProcess
  readonly terminal?: boolean
  readonly path?: string
  readonly clock?: Clock
}

/** Runs a role; `shown` resolves when the output matches. */
function launch(settings: Settings, options: LaunchOptions = {}) {
  let output = ''
  const errors: string[] = []
  const exits: number[] = []
  const watchers = new Set<() => void>()
  let signal: (signal: StopCause) => void = () => {}
  let crash: (error: unknown) => void = () => {}
  let sayAsLibrary: (level: LibraryLevel, text: string) => void = () => {}
  const host: RoleHost = {
    createProcess: options.create ?? quick,
    clock: options.clock ?? systemClock,
    random: () => 0.5,
    version: '9.9.9',
    searchPath: options.path ?? '',
    terminal: options.terminal ?? false,
    write(text) {
      output += text
      for (const watcher of watchers) watcher()
    },
    err: (text) => errors.push(text),
    onSignal: (listener) => {
      signal = listener
    },
    onCrash: (listener) => {
      crash = listener
    },
    onLibraryOutput: (listener) => {
      sayAsLibrary = listener
    },
    exit: (code) => exits.push(code),
  }
  const ended = runRole(settings, host)
  const shown = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve) => {
      const look = () => {
        const match = pattern.exec(output)
        if (match !== null) resolve(match)
      }
      watchers.add(look)
      look()
    })
  const lines = () =>
    output
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
  const run = {
    ended,
    shown,
    lines,
    errors,
    exits,
    signal: (name: StopCause) => signal(name),
    crash: (e: unknown) => crash(e),
    sayAsLibrary: (text: string) => sayAsLibrary('warn', text),
    output: () => output,
  }
  return run
}

describe('a role', () => {
  it('starts, says where it listens, is ready, shows its views, and ends with 0 on a signal', async () => {
    const run = launch(settingsOf('--redis=none'))
    const admin = (await run.shown(/"admin":"([^"]+)"/))[1]
    const ready = await fetch(`http://${admin}/readyz`)
    expect(ready.status).toBe(200)
    expect(await (await fetch(`http://${admin}/debug/cache`)).json()).toEqual({ entries: 3 })
    expect(await (await fetch(`http://${admin}/version`)).json()).toMatchObject({
      version: '9.9.9',
      role: 'all',
      id: 'n1',
    })
    expect(await (await fetch(`http://${admin}/metrics`)).text()).toContain(
      'intermix_build_info{version="9.9.9",role="all"',
    )
    run.signal('SIGTERM')
    expect(await run.ended).toBe(0)
    expect(run.lines().find(({ msg }) => msg === 'started')).toMatchObject({
      role: 'all',
      node: 'n1',
      config: 'examples',
      facts: { config: '3 rules, 2 handlers' },
      addresses,
    })
    await expect(fetch(`http://${admin}/readyz`)).rejects.toThrow()
  })

  it('tells a person at a terminal what it is and what to try', async () => {
    const run = launch(settingsOf('--redis=none'), { terminal: true })
    await run.shown(/try: /)
    run.signal('SIGINT')
    expect(await run.ended).toBe(0)
    expect(run.output()).toContain('Intermix 9.9.9: all n1 is ready.')
    expect(run.output()).toMatch(/config +examples: 3 rules, 2 handlers/)
    expect(run.output()).toMatch(/redis +none: in-process tiers only/)
    expect(run.output()).toContain('curl -s http://127.0.0.1:8080/v1/check')
  })

  it('logs what libraries write, each text once unless somebody looks for details', async () => {
    const run = launch(settingsOf('--redis=none'))
    await run.shown(/"admin"/)
    for (let i = 0; i < 3; i++) run.sayAsLibrary('no password is needed')
    for (let i = 0; i < 200; i++) run.sayAsLibrary(`number ${i}`)
    const said = run.lines().filter(({ from }) => from === 'a library')
    expect(said).toHaveLength(100)
    expect(said[0]).toMatchObject({ level: 'warn', msg: 'no password is needed' })
    run.signal('SIGTERM')
    expect(await run.ended).toBe(0)
  })

  it('is not ready while it starts and while it stops', async () => {
    const gates = { started: Promise.withResolvers<Started>(), stopped: Promise.withResolvers<void>() }
    const asked = Promise.withResolvers<void>()
    const states: [string, boolean][] = []
    const run = launch(settingsOf('--redis=none'), {
      create: async (_role, _settings, { health }) => ({
        start: async () => {
          states.push(['starting', health.ready])
          return await gates.started.promise
        },
        stop: async () => {
          states.push(['stopping', health.ready])
          asked.resolve()
          await gates.stopped.promise
        },
        debug: new Map(),
      }),
    })
    gates.started.resolve({ addresses: {} })
    const admin = (await run.shown(/"admin":"([^"]+)"/))[1]
    run.signal('SIGTERM')
    await asked.promise
    const response = await fetch(`http://${admin}/readyz`)
    expect(response.status).toBe(503)
    expect(await response.text()).toContain('start: shutting down')
    gates.stopped.resolve()
    expect(await run.ended).toBe(0)
    expect(states).toEqual([
      ['starting', false],
      ['stopping', false],
    ])
  })

  it('tells callers first, serves on as a lame duck, and shuts down after that', async () => {
    const clock = new FakeClock()
    const steps: string[] = []
    const retired = Promise.withResolvers<void>()
    const run = launch(settingsOf('--redis=none', '--lame-duck=5s'), {
      clock,
      create: async (_role, _settings, { health }) => ({
        start: async () => ({ addresses: {} }),
        retire() {
          steps.push(`retire, ready: ${health.ready}`)
          retired.resolve()
        },
        async stop(deadlineMs) {
          steps.push(`stop within ${deadlineMs} at ${clock.monotonic()}`)
        },
        debug: new Map(),
      }),
    })
    await run.shown(/"started"/)
    run.signal('SIGTERM')
    await retired.promise
    await clock.advance(4_999)
    expect(steps).toEqual(['retire, ready: false'])
    await clock.advance(1)
    expect(await run.ended).toBe(0)
    expect(steps.slice(1)).toEqual(['stop within 8000 at 5000'])
  })

  it('ends when its launcher has, unless it is ending already', async () => {
    const gate = Promise.withResolvers<void>()
    const create: CreateProcess = async () => ({
      start: async () => ({ addresses: {} }),
      stop: () => gate.promise,
      debug: new Map(),
    })
    const run = launch(settingsOf('--redis=none'), { create })
    await run.shown(/"started"/)
    run.signal('launcher gone')
    await run.shown(/"cause":"launcher gone"/)
    run.signal('launcher gone')
    run.signal('SIGTERM')
    expect(run.exits).toEqual([])
    run.signal('SIGINT')
    expect(run.exits).toEqual([130])
    gate.resolve()
    expect(await run.ended).toBe(0)
  })

  it('does not wait beyond the shutdown timeout, and says so', async () => {
    const deadlines: number[] = []
    const run = launch(settingsOf('--redis=none', '--shutdown-timeout=30ms'), {
      create: async () => ({
        start: async () => ({ addresses: {} }),
        stop: async (deadlineMs) => {
          deadlines.push(deadlineMs)
          await new Promise(() => {})
        },
        debug: new Map(),
      }),
    })
    await run.shown(/"started"/)
    run.signal('SIGTERM')
    expect(await run.ended).toBe(1)
    // It may plan with less than it has, so that what it does last is not cut off.
    expect(deadlines).toEqual([24])
    expect(run.output()).toContain('--shutdown-timeout has passed')
  })

  it('ends at once on a second signal, but not on the echo of the first', async () => {
    const gate = Promise.withResolvers<void>()
    const run = launch(settingsOf('--redis=none'), {
      create: async () => ({ start: async () => ({ addresses: {} }), stop: () => gate.promise, debug: new Map() }),
    })
    await run.shown(/"started"/)
    run.signal('SIGINT')
    run.signal('SIGINT')
    expect(run.exits).toEqual([])
    run.signal('SIGTERM')
    expect(run.exits).toEqual([143])
    gate.resolve()
    await run.ended
  })

  it('can be ended while it starts', async () => {
    const run = launch(settingsOf('--redis=none'), {
      create: async () => ({ start: () => new Promise(() => {}), stop: async () => {}, debug: new Map() }),
    })
    run.signal('SIGTERM')
    expect(await run.ended).toBe(0)
  })

  it('logs an error that nobody handled and ends with 1', async () => {
    const run = launch(settingsOf('--redis=none', '--log-level=error'))
    run.crash(new Error('a bug'))
    expect(run.exits).toEqual([1])
    expect(run.lines()[0]).toMatchObject({ level: 'fatal', err: { message: 'a bug' } })
    run.signal('SIGTERM')
    await run.ended
  })
})

describe('an error that nobody handled', () => {
  it('is told to parts of the process before it ends, whatever comes of that', async () => {
    const told: unknown[] = []
    const run = launch(settingsOf('--redis=none'), {
      create: async (_role, _settings, { onCrash }) => {
        onCrash?.((error) => {
          told.push(error)
          throw new Error('worse')
        })
        return { start: async () => ({ addresses: {} }), stop: async () => {}, debug: new Map() }
      },
    })
    await run.shown(/started/)
    const bug = new Error('a bug')
    run.crash(bug)
    expect(told).toEqual([bug])
    expect(run.exits).toEqual([1])
    run.signal('SIGTERM')
    await run.ended
  })
})

describe('a start that fails', () => {
  const failing =
    (error: unknown): CreateProcess =>
    async () => {
      throw error
    }
  const system = (message: string, fields: object) => Object.assign(new Error(message), fields)

  it.each([
    [
      new IntermixError('INVALID_CONFIG', 'a.yaml:1:2: error: wrong\nb.yaml:3:4: error: wrong'),
      1,
      'a.yaml:1:2: error: wrong\nb.yaml:3:4',
    ],
    [new IntermixError('INVALID_SETTING', 'no module ./mine.ts'), 2, 'no module ./mine.ts'],
    [
      system('listen EADDRINUSE: address already in use 0.0.0.0:9091', { code: 'EADDRINUSE', port: 9091 }),
      1,
      'cannot listen on 0.0.0.0:9091: another process listens there already; give another address with --grpc-address',
    ],
    [
      new Error('No address added out of total 1 resolved errors: [listen EACCES: permission denied 0.0.0.0:8080]'),
      1,
      'not allowed to use that port; give another address with --http-address',
    ],
    [
      system("ENOENT: no such file or directory, scandir '/x'", { code: 'ENOENT', path: '/x' }),
      1,
      'cannot use /x: there is no such file or folder',
    ],
    [new TypeError('odd'), 1, 'odd'],
  ])('is told in one message without a stack (%#)', async (error, code, text) => {
    const run = launch(settingsOf('--redis=none'), { create: failing(error) })
    expect(await run.ended).toBe(code)
    expect(run.errors).toHaveLength(1)
    expect(run.errors[0]).toContain(text)
    expect(run.errors[0]).toMatch(/^intermix all: /)
    expect(run.errors[0]).not.toContain('    at ')
  })

  it.each([
    [
      'unix:/run/a b/grpc',
      'listen EADDRINUSE: address already in use /run/a b/grpc',
      'another process listens there, or',
    ],
    ['unix:/run/a/grpc', 'bind EACCES /run/a/grpc', 'the folder is not there, or'],
    ['nohost.invalid:7000', 'getaddrinfo ENOTFOUND nohost.invalid', 'there is no such host'],
  ])('names the flag where %s cannot be listened on', async (address, message, why) => {
    for (const flag of ['--grpc-address', '--http-address']) {
      const run = launch(settingsOf('--redis=none', `${flag}=${address}`), { create: failing(new Error(message)) })
      expect(await run.ended).toBe(1)
      expect(run.errors[0]).toContain(`intermix all: cannot listen on ${address}: ${why}`)
      expect(run.errors[0]).toContain(flag)
    }
  })

  it('names the admin port when that is taken', async () => {
    const first = launch(settingsOf('--redis=none'))
    const admin = (await first.shown(/"admin":"([^"]+)"/))[1]
    const second = launch(settingsOf('--redis=none', `--admin-address=${admin}`))
    expect(await second.ended).toBe(1)
    expect(second.errors[0]).toContain(`cannot listen on ${admin}: another process listens there already`)
    expect(second.errors[0]).toContain('--admin-address')
    first.signal('SIGTERM')
    await first.ended
  })
})

describe('Redis for a first run', () => {
  const seen: Pick<Settings, 'cacheRedis' | 'queueRedis'>[] = []
  const watching: CreateProcess = async (role, settings, ports) => {
    seen.push({ cacheRedis: settings.cacheRedis, queueRedis: settings.queueRedis })
    return await quick(role, settings, ports)
  }

  it('goes on without where the path has none, and says so', async () => {
    const run = launch(settingsOf(), { create: watching, path: '/nonexistent' })
    await run.shown(/"redis":"none \(no redis-server on the path and no --redis\)/)
    run.signal('SIGTERM')
    await run.ended
    expect(seen.pop()).toEqual({ cacheRedis: undefined, queueRedis: undefined })
  })

  it('starts one of its own where the machine has it, and never shows the password', async (context) => {
    const run = launch(settingsOf(), { create: watching, path: process.env['PATH'] ?? '' })
    const line = await run.shown(/"redis":"([^"]*)"/)
    run.signal('SIGTERM')
    await run.ended
    const used = seen.pop()
    if (used?.cacheRedis === undefined) return context.skip('no redis-server on the path')
    expect(line[1]).toMatch(/^a private redis-server on 127\.0\.0\.1:\d+/)
    expect(used.queueRedis).toEqual(used.cacheRedis)
    expect(run.output()).not.toContain(new URL(used.cacheRedis.url).password)
  })

  it('uses the one that was given and starts none', async () => {
    const server = await startRedis()
    cleanups.push(() => server.stop())
    const url = server.url.replace('redis://', 'redis://me:s3cret@')
    const run = launch(settingsOf('--redis', url), { create: watching, path: process.env['PATH'] ?? '' })
    await run.shown(/"redis":"redis:\/\/me:\*\*\*@127/)
    run.signal('SIGTERM')
    await run.ended
    expect(seen.pop()).toEqual({ cacheRedis: { url }, queueRedis: { url } })
    expect(run.output()).not.toContain('s3cret')
  })
})
