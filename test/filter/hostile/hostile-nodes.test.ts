// What a node, or somebody between, sends that no node would: the filter must not trap, wait, grow, or let anything pass.

import { beforeAll, describe, expect, it } from 'vitest'
import { WireWriter } from '../../../src/wire/wire-writer.ts'
import type { CheckedModule } from '../../helpers/proxy-wasm/vm.ts'
import { compiledFilter, ended, FilterBench } from '../filter-bench.ts'
import { attack } from './attack.ts'
import { HostileCluster } from './hostile-cluster.ts'

/** `node test/filter/hostile/run.ts` has more. */
const SEEDS = 20
const MIB = 1024 * 1024

let module: CheckedModule
beforeAll(async () => {
  module = await compiledFilter()
})

/** A filter whose node's answers never arrive, before one who answers each check as he likes. */
async function before(answer: (writer: WireWriter, id: number) => void, settings = {}) {
  const asked: number[] = []
  let cluster: HostileCluster | undefined
  const bench = await FilterBench.start({
    module,
    settings,
    between: (inner, clock) => {
      const listener = { asked: (_: number, id: number) => void asked.push(id), delivered: () => {}, over: () => {} }
      cluster = new HostileCluster(inner, clock, listener)
      return cluster
    },
  })
  const hostile = cluster as unknown as HostileCluster
  const send = (write: (writer: WireWriter) => void) => {
    const writer = new WireWriter()
    write(writer)
    const bytes = writer.take()
    for (const stream of hostile.streams) hostile.send(stream, bytes)
  }
  hostile.tamper = () => []
  const ask = async (path = '/a') => {
    const request = bench.request([[':path', path]])
    send((writer) => answer(writer, asked.at(-1) ?? 0))
    await bench.clock.advance(250)
    return ended(request)
  }
  return { bench, cluster: hostile, asked, send, ask }
}

function written(writer: WireWriter, field: number, write: () => void): void {
  const open = writer.open(field)
  write()
  writer.close(open)
}

describe('a filter whose nodes mean no good', () => {
  it('lets pass what they allow, and nothing else; it does not trap, grow, or have requests wait', async () => {
    const sum = { allowed: 0, denied: 0, unjudged: 0, memory: 0 }
    for (let seed = 1; seed <= SEEDS; seed++) {
      const report = await attack(module, seed)
      sum.allowed += report.allowed
      sum.denied += report.denied
      if (report.unjudged !== undefined) sum.unjudged++
      sum.memory = Math.max(sum.memory, report.memory)
    }
    expect(sum.allowed).toBeGreaterThan(SEEDS)
    expect(sum.denied).toBeGreaterThan(20 * SEEDS)
    expect(sum.unjudged).toBeLessThan(SEEDS / 5)
    // Half of what it may have: where it grows, it doubles.
    expect(sum.memory).toBeLessThan(64 * MIB)
  })

  it('takes an answer of a tier that there is not for one that is stale', async () => {
    const { bench, ask } = await before((writer, id) =>
      written(writer, 4, () => {
        writer.uint(1, id)
        writer.uint(5, 2 ** 32 - 1)
      }),
    )
    expect(await ask()).toMatchObject({ status: 0, tier: 'stale' })
    expect(bench.host.failures).toBe(0)
  })

  it('changes no request by the name of a header that there cannot be, and leaves it out of a denial', async () => {
    for (const name of ['', 'x y', 'x\r\ny: z', 'X-Upper', ':scheme', 'x\0']) {
      const operation = (writer: WireWriter) => {
        for (const word of [0, 1]) writer.packedSint32(-1 - word)
        writer.packedSint32(0)
      }
      for (const field of [9, 10]) {
        const { ask } = await before((writer, id) => {
          for (const word of [name, 'v']) writer.text(3, word, true)
          written(writer, 4, () => {
            writer.uint(1, id)
            written(writer, field, () => operation(writer))
          })
        })
        expect(await ask(), JSON.stringify(name)).toMatchObject({ status: 503, tier: 'none' })
      }
      const { ask } = await before((writer, id) => {
        for (const word of [name, 'v', 'x-good']) writer.text(3, word, true)
        written(writer, 4, () => {
          writer.uint(1, id)
          writer.uint(2, 7)
          written(writer, 11, () =>
            written(writer, 3, () => [-1, -2, -3, -2].forEach((word) => writer.packedSint32(word))),
          )
        })
      })
      const denied = await ask()
      expect(denied).toMatchObject({ status: 403 })
      const names = denied.headers.map(([each]) => each).filter((each) => !each.startsWith('content-'))
      expect(names).toEqual(name === 'X-Upper' ? ['x-upper', 'x-good'] : ['x-good'])
    }
  })

  it('takes no answer over a stream over which it has not asked', async () => {
    const { bench, cluster, asked, send, ask } = await before(() => undefined, { timeout_ms: 1_000 })
    await ask('/first')
    // The node goes, so that others are asked over another stream; it answers them all the same.
    const [left = 0] = cluster.streams
    cluster.tellsEnds = false
    send((writer) => writer.bool(5, true))
    await bench.clock.advance(1_500)
    const request = bench.request([[':path', '/second']])
    const writer = new WireWriter()
    written(writer, 4, () => writer.uint(1, asked.at(-1) ?? 0))
    expect(cluster.streams).toContain(left)
    cluster.send(left, writer.take())
    await bench.clock.advance(100)
    expect(request.state).toBe('waiting')
    await bench.clock.advance(1_000)
    expect(ended(request)).toMatchObject({ status: 503 })
  })

  it('waits before it opens further streams where each of them ends soon, whatever it says', async () => {
    for (const how of ['leaves', 'closes'] as const) {
      const { bench, cluster, send, ask } = await before(() => undefined)
      await ask()
      const opened = cluster.opened
      for (let i = 0; i < 1_000; i++) {
        // Something is heard of each: it is no node that cannot be reached.
        send((writer) => written(writer, 9, () => writer.uint(7, 1)))
        if (how === 'leaves') send((writer) => writer.bool(5, true))
        else for (const stream of cluster.streams) cluster.close(stream, 0)
        await bench.clock.advance(10)
      }
      expect(cluster.opened - opened, how).toBeLessThan(60)
      expect(bench.host.failures).toBe(0)
    }
  })

  it('has room for a word that is named a million times, and not for a million copies of it', async () => {
    const { bench, send, ask } = await before(() => undefined)
    await ask()
    const writer = new WireWriter()
    written(writer, 7, () =>
      written(writer, 3, () => {
        for (let i = 0; i < 200_000; i++) writer.packedSint32(-1)
      }),
    )
    const shape = writer.take()
    for (let i = 0; i < 3; i++) {
      send((message) => {
        message.bytes(3, Buffer.alloc(4_000, 'w'), true)
        message.encoded(shape)
      })
      await bench.clock.advance(1_000)
    }
    expect(bench.host.failures).toBe(0)
    expect(bench.host.memorySize).toBeLessThan(16 * MIB)
  })

  it('has room for tests of a million constants, and for rules that are chosen by long values', async () => {
    const tests = new WireWriter()
    written(tests, 6, () => {
      tests.uint(1, 3)
      written(tests, 4, () =>
        written(tests, 3, () => {
          for (let i = 0; i < 1_000_000; i++) tests.packedSint32(i % 50)
        }),
      )
    })
    const constants = tests.take()
    const { bench, send, ask } = await before(
      (writer, id) => {
        writer.bool(1, true)
        for (const word of ['request.path', 'config', 'scope', 'generation']) writer.text(3, word)
        written(writer, 6, () => writer.sint32(2, -1))
        written(writer, 7, () => {
          writer.sint32(1, -2)
          writer.sint32(2, -3)
          written(writer, 5, () => writer.packedUint(2))
        })
        written(writer, 8, () => {
          for (const [field, value] of [
            [1, id],
            [7, 60_000],
            [8, 1_000],
          ] as const)
            writer.uint(field, value)
          writer.uint(13, 0, true)
          writer.sint32(14, -4)
        })
      },
      { max_bytes: MIB },
    )
    await ask()
    for (let i = 0; i < 20; i++) {
      send((writer) => writer.encoded(constants))
      await bench.clock.advance(10)
    }
    for (let i = 0; i < 1_500; i++) expect((await ask(`/${i}${'x'.repeat(30_000)}`)).status).toBe(0)
    expect(await bench.metric('intermix.not_kept.mismatch')).toBe(0)
    expect(bench.host.failures).toBe(0)
    expect(bench.host.memorySize).toBeLessThan(32 * MIB)
  })
})
