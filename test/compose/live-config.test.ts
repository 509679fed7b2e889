import { describe, expect, it } from 'vitest'
import { createTestEnvironment } from '../../src/adapter-kit/test-environment.ts'
import { LiveConfig } from '../../src/compose/live-config.ts'
import type { HandlerConfig, Snapshot } from '../../src/config/snapshot.ts'
import { Health } from '../../src/observe/health.ts'
import { createGuard } from '../../src/policy/guard.ts'
import { HandlerTables } from '../../src/policy/handler-table.ts'
import { compileGood, DENY, MANIFEST } from '../config/compile.ts'
import { FakeClock } from '../helpers/clock.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'

/** A config whose handler has this code in its params, by which a test knows it. */
function config(code: number): Snapshot {
  return compileGood(
    MANIFEST,
    DENY.replace('denier}', `denier, params: {status: {code: ${code}}}}`),
    'apiVersion: config.istio.io/v1alpha2\nkind: rule\nmetadata: {name: r}\n' +
      'spec: {actions: [{handler: deny, instances: [nothing]}]}',
  )
}

/** A source of configs in the hands of a test. */
class Source {
  #current: Snapshot
  readonly #listeners = new Set<(snapshot: Snapshot) => void>()

  constructor(first: Snapshot) {
    this.#current = first
  }

  current(): Snapshot {
    return this.#current
  }

  onChange(listener: (snapshot: Snapshot) => void) {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  status() {
    return { state: 'ok' as const, problems: [], loadedAt: 0, snapshotId: this.#current.id }
  }

  change(snapshot: Snapshot): void {
    this.#current = snapshot
    for (const listener of this.#listeners) listener(snapshot)
  }
}

interface Doing {
  /** What building the environment of a handler does. */
  readonly build?: (code: number) => void
  /** What starting a handler waits for. */
  readonly start?: (code: number) => Promise<void>
}

function world(first: Snapshot, doing: Doing = {}) {
  const clock = new FakeClock()
  const [log, meter, health] = [new KeptLog(), new ReadableMeter(), new Health()]
  const events: string[] = []
  const codeOf = ({ params }: HandlerConfig) => (params as { status: { code: number } }).status.code
  const tables = new HandlerTables({
    clock,
    log,
    environment: (handler) => {
      doing.build?.(codeOf(handler))
      return { environment: createTestEnvironment(), dispose: () => void events.push(`stopped ${codeOf(handler)}`) }
    },
    guard: (handler) => createGuard({ handler, clock, log, random: () => 0.5, meter }),
  })
  const start = async (table: Awaited<ReturnType<HandlerTables['build']>>) => {
    for (const { handler } of table.values()) await doing.start?.(codeOf(handler))
    return table
  }
  const build = tables.build.bind(tables)
  tables.build = async (handlers) => await start(await build(handlers))
  const source = new Source(first)
  const live = new LiveConfig({ watched: source, tables, varieties: new Set(['check']), clock, log, meter, health })
  const used: number[] = []
  live.onState(({ handlers }) => {
    for (const { handler } of handlers.values()) used.push(codeOf(handler))
  })
  const settle = async () => await clock.advance(0)
  return { clock, log, meter, health, events, source, live, used, settle }
}

describe('a change during a slow start', () => {
  it('is served in the end, and the handler of the first config is stopped', async () => {
    const gate = Promise.withResolvers<void>()
    const { clock, events, source, live, used } = world(config(1), {
      start: (code) => (code === 1 ? gate.promise : Promise.resolve()),
    })
    const started = live.start()
    await clock.advance(100)
    source.change(config(2))
    source.change(config(3))
    await clock.advance(100)
    expect(used).toEqual([])
    gate.resolve()
    expect((await started).snapshot.id).toBe(config(3).id)
    // The config in between was never needed.
    expect(used).toEqual([1, 3])
    await clock.advance(60_000)
    expect(events).toEqual(['stopped 1'])
    expect(live.state()?.snapshot.id).toBe(config(3).id)
  })
})

describe('a config on trial', () => {
  it('has the one before behind it, with its handlers, until it is trusted', async () => {
    const { clock, events, source, live, settle } = world(config(1))
    await live.start()
    live.trial(true)
    source.change(config(2))
    await settle()
    expect(live.behind()?.snapshot.id).toBe(config(1).id)
    await clock.advance(60_000)
    expect(events).toEqual([])
    live.trust()
    expect(live.behind()).toBeUndefined()
    await clock.advance(60_000)
    expect(events).toEqual(['stopped 1'])
  })

  it('leaves nothing behind the one after it', async () => {
    const { clock, events, source, live, settle } = world(config(1))
    await live.start()
    live.trial(true)
    source.change(config(2))
    await settle()
    live.trial(false)
    source.change(config(3))
    await settle()
    expect(live.behind()).toBeUndefined()
    await clock.advance(60_000)
    expect(events.toSorted()).toEqual(['stopped 1', 'stopped 2'])
  })
})

describe('a config that cannot be taken into use', () => {
  const failing = { build: (code: number) => void (code === 2 && refuse()) }
  const refuse = (): never => {
    throw new Error('no such room')
  }

  it('is told and counted, changes nothing, and does not stand in the way of the next', async () => {
    const { clock, log, meter, health, events, source, live, used, settle } = world(config(1), failing)
    await live.start()
    source.change(config(2))
    await settle()
    expect(live.state()?.snapshot.id).toBe(config(1).id)
    expect(meter.value('config_apply_failures_total')).toBe(1)
    expect(log.lines.filter((line) => line.startsWith('error the config could not be taken into use'))).toHaveLength(1)
    await clock.advance(500)
    expect(JSON.stringify(health.checks())).toContain('could not be taken into use')
    source.change(config(3))
    await settle()
    await clock.advance(500)
    expect(live.state()?.snapshot.id).toBe(config(3).id)
    expect(JSON.stringify(health.checks())).not.toContain('could not be taken into use')
    expect(used).toEqual([1, 3])
    await clock.advance(60_000)
    expect(events).toEqual(['stopped 1'])
  })

  it('ends the start with what was wrong when it is the first', async () => {
    const { live } = world(config(2), failing)
    await expect(live.start()).rejects.toThrow('no such room')
    expect(live.state()).toBeUndefined()
    await live.stop()
  })

  it('is taken back when a part of the process fails on it', async () => {
    const { clock, events, meter, source, live, used, settle } = world(config(1))
    await live.start()
    let calls = 0
    live.onState(({ snapshot }) => {
      calls++
      if (snapshot.id === config(2).id) throw new Error('not me')
    })
    source.change(config(2))
    await settle()
    expect(live.state()?.snapshot.id).toBe(config(1).id)
    expect([used, calls]).toEqual([[1, 2, 1], 2])
    expect(meter.value('config_apply_failures_total')).toBe(1)
    await clock.advance(60_000)
    expect(events).toEqual(['stopped 2'])
  })
})
