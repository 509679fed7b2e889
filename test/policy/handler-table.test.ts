import { describe, expect, it } from 'vitest'
import type { ReportContext } from '../../src/adapter-kit/define-adapter.ts'
import { createTestEnvironment } from '../../src/adapter-kit/test-environment.ts'
import { createGuard } from '../../src/policy/guard.ts'
import { HandlerTables } from '../../src/policy/handler-table.ts'
import type { RunningHandler } from '../../src/policy/running-handler.ts'
import { handlerConfig } from '../cache/support.ts'
import { FakeClock } from '../helpers/clock.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'

const INSTANCE = { name: 'i.instance.test', template: 'listentry', fields: {} }
const OK = { status: { code: 0, message: '' } }

/** Tables of handlers whose checks take 30 s, and what has been stopped. */
function world(create?: () => never) {
  const clock = new FakeClock()
  const log = new KeptLog()
  const stopped: string[] = []
  const tables = new HandlerTables({
    clock,
    log,
    environment: () => ({ environment: createTestEnvironment(), dispose: () => undefined }),
    guard: (handler) => createGuard({ handler, clock, log, random: () => 0.5, meter: new ReadableMeter() }),
  })
  const later = <T>(ms: number, value: T) => new Promise<T>((resolve) => void clock.after(ms, () => resolve(value)))
  const config = (digest: string) =>
    handlerConfig({
      name: 'h',
      digest,
      timeoutMs: 60_000,
      adapter: {
        name: 'slow',
        doesIo: true,
        templates: ['listentry', 'logentry'],
        create:
          create ??
          (() => ({
            check: { listentry: () => later(30_000, OK) },
            report: { logentry: () => later(30_000, undefined) },
            stop: () => void stopped.push(digest),
          })),
      } as never,
    })
  const build = async (digest: string) => {
    const table = await tables.build([config(digest)])
    return { table, handler: table.get('h') as RunningHandler }
  }
  return { clock, stopped, tables, build, later }
}

describe('a handler that has left the config', () => {
  it('answers the call of 30 s that began before, and is stopped afterwards', async () => {
    const { clock, stopped, build } = world()
    const [old] = [await build('old'), await build('new')]
    const call = Promise.resolve(old.handler.fetch(INSTANCE, clock.monotonic() + 60_000))
    old.table.retire()
    await clock.advance(29_000)
    expect(stopped).toEqual([])
    await clock.advance(1_000)
    expect(await call).toMatchObject({ kind: 'allow' })
    await clock.advance(20_000)
    expect(stopped).toEqual(['old'])
  })

  it('waits for requests that have not come to it yet', async () => {
    const { clock, stopped, build, later } = world()
    const old = await build('old')
    const request = old.table.hold(later(45_000, 'first another handler'))
    old.table.retire()
    await clock.advance(44_000)
    expect(stopped).toEqual([])
    await clock.advance(1_000)
    expect(await request).toBe('first another handler')
    await clock.advance(20_000)
    expect(stopped).toEqual(['old'])
  })

  it('waits for batches of reports, and not for those that were given up', async () => {
    for (const isGivenUp of [false, true]) {
      const { clock, stopped, build } = world()
      const old = await build('old')
      const abort = new AbortController()
      const context: ReportContext = { signal: abort.signal, deadline: 60_000, batchId: 'b' }
      const batch = old.handler.code.report?.['logentry']?.([], context)
      old.table.retire()
      if (isGivenUp) abort.abort()
      await clock.advance(25_000)
      expect(stopped).toEqual(isGivenUp ? ['old'] : [])
      await clock.advance(5_000)
      await batch
      await clock.advance(20_000)
      expect(stopped).toEqual(['old'])
    }
  })

  it('runs on when the config comes back before it was stopped', async () => {
    const { clock, stopped, build } = world()
    const first = await build('old')
    first.table.retire()
    await clock.advance(9_000)
    const again = await build('old')
    expect(again.handler).toBe(first.handler)
    await clock.advance(60_000)
    expect(stopped).toEqual([])
    again.table.retire()
    again.table.retire()
    await clock.advance(10_000)
    expect(stopped).toEqual(['old'])
    expect((await build('old')).handler).not.toBe(first.handler)
  })
})

describe('two configs side by side', () => {
  it('share the handlers that are the same, until both have retired', async () => {
    const { clock, stopped, tables, build } = world()
    const [one, other] = [await build('same'), await build('same')]
    expect(other.handler).toBe(one.handler)
    one.table.retire()
    await clock.advance(60_000)
    expect(stopped).toEqual([])
    other.table.retire()
    await clock.advance(10_000)
    expect(stopped).toEqual(['same'])
    await tables.stop()
    expect(stopped).toEqual(['same'])
  })
})

describe('a handler that cannot be built', () => {
  it('says so to checks and to reports, which are tried again', async () => {
    const { handler } = await world(() => {
      throw new Error('no licence')
    }).build('broken')
    const context: ReportContext = { signal: new AbortController().signal, deadline: 60_000, batchId: 'b' }
    const calls = [() => handler.fetch(INSTANCE, 60_000), () => handler.code.report?.['logentry']?.([], context)]
    for (const call of calls) {
      const error: unknown = await new Promise((resolve) => resolve(call())).catch((caught: unknown) => caught)
      expect(error).toMatchObject({
        code: 'BACKEND_FAILED',
        retryable: true,
        message: expect.stringContaining('could not be built'),
      })
    }
  })
})
