// How the filter gets on with its host: settings, clusters, traps, memory.
import { beforeAll, describe, expect, it } from 'vitest'
import { FakeClock } from '../helpers/clock.ts'
import { FilterHost, StartFailure } from '../helpers/proxy-wasm/filter-host.ts'
import type { CheckedModule } from '../helpers/proxy-wasm/vm.ts'
import { compiledFilter, ended, FilterBench, SETTINGS } from './filter-bench.ts'

let module: CheckedModule
beforeAll(async () => {
  module = await compiledFilter()
})

/** What is said of settings that are not right. */
function problemsOf(configuration: string): readonly string[] {
  try {
    const host = new FilterHost({ module, clock: new FakeClock(), clusters: new Map(), configuration })
    host.stop()
    return []
  } catch (caught) {
    if (!(caught instanceof StartFailure)) throw caught
    return caught.logs.map(({ level, message }) => `${level} ${message}`)
  }
}

describe('settings', () => {
  it('are refused with all that is wrong', () => {
    const wrong = {
      timeout_ms: 0,
      fail_policy: 'sometimes',
      max_entries: 1.5,
      max_bytes: 'many',
      colour: 'green',
      context_extensions: { 'destination.port': 80, 'request.path': '/x' },
    }
    const problems = problemsOf(JSON.stringify(wrong))
    for (const name of [...Object.keys(wrong), 'cluster', 'source_address', 'destination.port', 'request.path'])
      expect(problems).toContainEqual(
        expect.stringMatching(new RegExp(`^error intermix: .*${name.replace('.', '\\.')}`)),
      )
  })

  it.each([
    '',
    '{',
    '[]',
    'null',
    '"text"',
    '{"cluster":}',
    '{"cluster":"nodes","source_address":"downstream"} x',
    '\u0000',
  ])('are refused where they are %j', (text) => {
    expect(problemsOf(text).length).toBeGreaterThan(0)
  })

  it('are taken whatever they are like to JSON', () => {
    expect(problemsOf(JSON.stringify(SETTINGS, undefined, 2))).toEqual([])
    expect(problemsOf('{"cl\\u0075ster":"n\\u00f6des \\ud83d\\ude00","source_address":"downstream"}')).toEqual([])
    expect(problemsOf(`{"cluster":"nodes","source_address":"downstream","timeout_ms":1e3}`)).toEqual([])
  })

  it.each(['nodes', 'istio-mix', 'authz-svc', 'a12345678', 'outbound|9091||intermix.mesh.svc.cluster.local', '-1234'])(
    'may name the cluster %s',
    async (cluster) => {
      const bench = await FilterBench.start({ module, settings: { cluster } })
      expect(await bench.ask()).toMatchObject({ status: 0, tier: 'backend' })
    },
  )

  it('set attributes of all requests', async () => {
    const settings = { context_extensions: { 'destination.service.name': 'reviews' } }
    const bench = await FilterBench.start({ module, value: 'destination.service.name', settings })
    expect((await bench.ask()).tier).toBe('backend')
    expect((await bench.ask()).tier).toBe('filter')
    expect(bench.asked).toEqual(['reviews'])
  })

  it('may demand the address of the connection itself', async () => {
    const bench = await FilterBench.start({
      module,
      value: 'source.ip == ip("192.0.2.1") ? "one" : "other"',
      settings: { source_address: 'direct' },
    })
    const stored = (address: string) => ({ others: { filter_state: new Map([['intermix.source_address', address]]) } })
    // Nobody knows whose request it is.
    expect(await bench.ask([])).toMatchObject({ status: 503, tier: 'none' })
    expect(await bench.ask([], stored('192.0.2.1:5'))).toMatchObject({ status: 0, tier: 'backend' })
    expect(await bench.ask([], stored('192.0.2.1:6'))).toMatchObject({ status: 0, tier: 'filter' })
    expect(await bench.ask([], stored('192.0.2.2:5'))).toMatchObject({ status: 0, tier: 'backend' })
    expect(bench.asked).toEqual(['one', 'other'])
  })
})

describe('a module that traps', () => {
  it('fails the requests that it has, and is started anew', async () => {
    const trapping = await compiledFilter((path, text) =>
      path === 'assembly/index.ts'
        ? text.replace(
            /(export function proxy_on_response_headers\([^)]*\): i32 \{)/,
            '$1\n  if (context % 5 === 0) unreachable()',
          )
        : text,
    )
    const bench = await FilterBench.start({ module: trapping })
    const statuses: number[] = []
    for (let i = 0; i < 12; i++) {
      const request = bench.request([[':path', `/${i}`]])
      await bench.clock.advance(20)
      if (request.state === 'continued') request.respond([[':status', '200']])
      statuses.push(request.localReply?.status ?? 0)
      request.finish()
      await bench.clock.advance(200)
    }
    expect(bench.host.failures).toBeGreaterThan(0)
    expect(statuses).toContain(503)
    // It goes on after a second.
    expect(statuses.lastIndexOf(0)).toBeGreaterThan(statuses.indexOf(503))
  })
})

describe('the memory of the module', () => {
  it('stays as it is, whatever passes through it', async () => {
    const bench = await FilterBench.start({ module, settings: { max_entries: 100 } })
    const pass = async (count: number) => {
      for (let i = 0; i < count; i++) {
        const request = bench.request([
          [':path', `/${i % 300}`],
          ['x-long', 'x'.repeat(i % 5_000)],
        ])
        if (request.state === 'waiting') await bench.clock.advance(0)
        ended(request)
      }
    }
    await pass(2_000)
    const { memorySize } = bench.host
    await pass(4_000)
    expect(bench.host.memorySize).toBeLessThanOrEqual(memorySize + 65_536)
  })
})
