import { type Client, type ClientDuplexStream, type StatusObject, status as grpcStatus } from '@grpc/grpc-js'
import { beforeEach, describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { CheckOutcome } from '../../src/kernel/services.ts'
import { Code } from '../../src/kernel/status.ts'
import { batchService } from '../../src/server/batch-stream.ts'
import type { NodeNews } from '../../src/server/caller-news.ts'
import type { GrpcServer } from '../../src/server/grpc-server.ts'
import { handAdmission } from './admission-support.ts'
import { Asking, openOn } from './batch-support.ts'
import { answerOf, dependencies, served } from './fixtures.ts'
import { serveGrpc } from './grpc-client.ts'

const PATH = '/intermix.v1.Batches/Check'
const pathBag = (path: string) => MapBag.of({ 'request.path': path })

describe('the batch stream', () => {
  let given: ReturnType<typeof dependencies>
  let server: GrpcServer
  let client: Client

  beforeEach(async () => {
    given = dependencies()
    ;({ server, client } = await serveGrpc(served(given)))
  })

  function open() {
    const bytes = (message: Buffer) => message
    const stream: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(PATH, bytes, bytes)
    const asking = new Asking()
    stream.on('data', (message: Buffer) => asking.read(message))
    stream.on('error', () => undefined)
    const ended = new Promise<StatusObject>((resolve) => stream.on('status', resolve))
    const send = () => void stream.write(asking.writer.take())
    return { stream, asking, ended, send }
  }

  it('answers checks of one message and of several, and ends when the caller has said all', async () => {
    given.check.decide = (bag, { timeoutMs }) => {
      const isOpen = bag.get('request.path') === '/open'
      const status = isOpen ? { code: 0, message: '' } : { code: Code.PERMISSION_DENIED, message: `no, ${timeoutMs}` }
      return { answer: answerOf({ status, tier: 'mesh', ageMs: 3, validForMs: 4, validUses: 5 }), quotas: new Map() }
    }
    const { stream, asking, ended, send } = open()
    asking.writer.add(1, 0, pathBag('/open'))
    asking.writer.add(2, 250, pathBag('/shut'))
    send()
    asking.writer.add(3, 90_000, pathBag('/shut'))
    send()
    stream.end()
    expect((await ended).code).toBe(grpcStatus.OK)
    expect(asking.order).toEqual([1, 2, 3])
    expect(asking.answers.get(1)).toMatchObject({
      status: { code: 0 },
      tier: 'mesh',
      ageMs: 3,
      validForMs: 4,
      validUses: 5,
    })
    expect(asking.answers.get(2)?.status).toEqual({ code: Code.PERMISSION_DENIED, message: 'no, 250' })
    expect(asking.answers.get(3)?.status.message).toBe('no, 60000')
    expect(given.check.asked[0]?.options).toMatchObject({ timeoutMs: 1_000, references: false })
    const counted = (name: string) => given.meter.counts.get(name)
    expect(counted('server_requests_total{batch,OK}')).toBe(1)
    expect(counted('server_requests_total{batch,PERMISSION_DENIED}')).toBe(2)
    expect(counted('batch_messages_total{}')).toBe(2)
  })

  it('answers in the order in which answers are ready', async () => {
    const waiting = new Map<unknown, (outcome: CheckOutcome) => void>()
    given.check.decide = (bag) => {
      const path = bag.get('request.path')
      if (path === '/now') return { answer: answerOf(), quotas: new Map() }
      return new Promise((resolve) => waiting.set(path, resolve))
    }
    const { stream, asking, ended, send } = open()
    for (const [id, path] of ['/late', '/soon', '/now'].entries()) asking.writer.add(id, 0, pathBag(path))
    send()
    await expect.poll(() => asking.order).toEqual([2])
    waiting.get('/soon')?.({ answer: answerOf(), quotas: new Map() })
    await expect.poll(() => asking.order).toEqual([2, 1])
    stream.end()
    waiting.get('/late')?.({ answer: answerOf(), quotas: new Map() })
    expect((await ended).code).toBe(grpcStatus.OK)
    expect(asking.order).toEqual([2, 1, 0])
  })

  it('refuses single checks for what they are, and says which it could not judge', async () => {
    given.check.decide = (bag) => {
      const path = bag.get('request.path')
      if (path === '/twofold') throw new IntermixError('INVALID_REQUEST', 'read in two ways')
      if (path === '/later') return Promise.reject(new IntermixError('OVERLOADED', 'too much to do'))
      if (path === '/bug') throw new TypeError('a bug')
      return { answer: answerOf(), quotas: new Map() }
    }
    const { stream, asking, ended, send } = open()
    asking.writer.add(1, 0, MapBag.of({ 'request.path': 7n }))
    for (const [at, path] of ['/twofold', '/later', '/bug', '/fine'].entries())
      asking.writer.add(at + 2, 0, pathBag(path))
    send()
    stream.end()
    expect((await ended).code).toBe(grpcStatus.OK)
    expect(asking.answers.get(1)?.status).toEqual({
      code: Code.INVALID_ARGUMENT,
      message: 'request.path is sent as integer and must be text',
    })
    expect(asking.answers.get(2)?.status).toEqual({ code: Code.INVALID_ARGUMENT, message: 'read in two ways' })
    expect(asking.failures.get(3)).toEqual({ code: Code.UNAVAILABLE, message: 'too much to do' })
    expect(asking.failures.get(4)).toEqual({ code: Code.INTERNAL, message: 'internal error' })
    expect(asking.answers.get(5)?.status.code).toBe(0)
    expect(given.log.errors).toHaveLength(1)
    expect(given.meter.counts.get('requests_refused_total{batch,invalid-value}')).toBe(1)
  })

  it('fails the stream for a message that it cannot read, after the answers to what it could', async () => {
    const { stream, asking, ended, send } = open()
    asking.writer.add(1, 0, pathBag('/a'))
    send()
    stream.write(Buffer.from([0x22, 0xff, 0xff]))
    const { code, details } = await ended
    expect([code, details]).toEqual([
      grpcStatus.INVALID_ARGUMENT,
      expect.stringContaining('malformed protobuf message at byte') as string,
    ])
    expect(asking.order).toEqual([1])
    expect(given.meter.counts.get('batch_streams{}')).toBeDefined()
  })

  it('tells callers when the node goes, serves on, and ends streams when it drains', async () => {
    const { asking, ended, send } = open()
    asking.writer.add(1, 0, pathBag('/a'))
    send()
    await expect.poll(() => asking.order).toEqual([1])
    server.retire()
    await expect.poll(() => asking.left).toBe(1)
    asking.writer.add(2, 0, pathBag('/a'))
    send()
    await expect.poll(() => asking.order).toEqual([1, 2])
    const late = open()
    late.asking.writer.add(1, 0, pathBag('/a'))
    late.send()
    await expect.poll(() => late.asking.left).toBe(1)
    const drained = server.drain(5_000)
    expect((await ended).code).toBe(grpcStatus.OK)
    await drained
  })

  it('forgets a caller that has gone, and answers nobody', async () => {
    let settle: (outcome: CheckOutcome) => void = () => undefined
    given.check.decide = () => new Promise((resolve) => (settle = resolve))
    const { stream, asking, ended, send } = open()
    asking.writer.add(1, 0, pathBag('/a'))
    send()
    await expect.poll(() => given.check.asked.length).toBe(1)
    stream.cancel()
    await ended
    settle({ answer: answerOf(), quotas: new Map() })
    const second = open()
    second.asking.writer.add(1, 0, pathBag('/b'))
    given.check.answer({})
    second.send()
    await expect.poll(() => second.asking.order).toEqual([1])
    expect(asking.order).toEqual([])
  })
})

describe('a batch stream, seen from its host', () => {
  /** On a clock that stands still: a turn of the loop is never too long. */
  function still() {
    const given = dependencies()
    return { ...given, clock: { ...given.clock, monotonic: () => 0 } }
  }

  function opened(given = still(), admission = given.admission) {
    const { host, handler } = openOn(batchService({ ...given, admission }))
    return { given, host, handler }
  }

  it('takes nothing back that was paid under another config', () => {
    const given = still()
    const config = { id: 'c2', vocabulary: new Map(), normalizes: true, allowedAmbiguities: new Set<never>() }
    const news = { config: () => config } as unknown as NodeNews
    const { host, handler } = openOn(batchService({ ...given, news }))
    const { writer } = host.asking
    writer.add(1, 0, pathBag('/a'), { uses: -3, paidUnder: 'c1' })
    writer.add(2, 0, pathBag('/b'), { uses: -3, paidUnder: 'c2' })
    writer.add(3, 0, pathBag('/c'), { uses: -3 })
    handler.message(writer.take())
    expect(host.asking.order).toEqual([1, 2, 3])
    expect(given.check.asked.map(({ bag, options }) => [bag.get('request.path'), options.uses])).toEqual([
      ['/b', -3],
      ['/c', -3],
    ])
  })

  it('leaves to who stands before nodes what was paid under which config', () => {
    const given = still()
    const { host, handler } = openOn(batchService({ ...given, news: { isRelayed: true } as unknown as NodeNews }))
    host.asking.writer.add(1, 0, pathBag('/a'), { uses: -3, paidUnder: 'c1' })
    handler.message(host.asking.writer.take())
    expect(given.check.asked.map(({ options }) => options)).toMatchObject([{ uses: -3, paidUnder: 'c1' }])
  })

  it('is ended where the words of all take too much memory and it has the most of them', () => {
    const given = still()
    const service = batchService({ ...given, maxWordsMemory: 40_000 })
    const [large, small] = [openOn(service), openOn(service)]
    const ask = ({ host, handler }: typeof large, labels: readonly string[]) => {
      // What comes a second time is kept by the peer.
      for (let time = 0; time < 2; time++)
        host.asking.writer.add(time, 0, MapBag.of({ 'source.labels': new Map(labels.map((text) => [text, text])) }))
      handler.message(host.asking.writer.take())
    }
    const words = (count: number) => Array.from({ length: count }, (_, n) => `${n}`.padStart(60, 'x'))
    ask(large, words(200))
    ask(small, words(40))
    expect([large.host.ended, small.host.ended]).toEqual([false, false])
    ask(small, words(60))
    expect([large.host.ended, small.host.ended]).toEqual([true, false])
    expect(given.meter.counts.get('batch_streams_ended_total{}')).toBe(1)
    ask(small, words(61))
    expect(small.host.ended).toBe(false)
    expect(small.host.asking.order).toHaveLength(6)
  })

  it('writes nothing more to a caller that does not read, and reads nothing more of it, until it does', () => {
    const { host, handler } = opened()
    host.takes = false
    const ask = (id: number) => {
      host.asking.writer.add(id, 0, pathBag('/a'))
      handler.message(host.asking.writer.take())
    }
    ask(1)
    expect([host.asking.order, host.paused]).toEqual([[1], true])
    // What was under way when the host was asked to pause.
    ask(2)
    ask(3)
    expect(host.asking.order).toEqual([1])
    host.takes = true
    handler.drained?.()
    expect([host.asking.order, host.paused]).toEqual([[1, 2, 3], false])
  })

  it('cuts what it says into messages, also of answers that are ready at once and have long words', async () => {
    const given = still()
    const settle: (() => void)[] = []
    given.check.decide = (bag) =>
      new Promise((resolve) => {
        const value = `${bag.get('request.path') as string} `.padEnd(4_000, 'x')
        const requestHeaders = [{ name: 'x-a', value, operation: 'REPLACE' as const }]
        settle.push(() => resolve({ answer: answerOf({ requestHeaders }), quotas: new Map() }))
      })
    const { host, handler } = opened(given, handAdmission({ maxInFlight: 10_000 }).admission)
    const sizes: number[] = []
    const write = host.write.bind(host)
    // The caller reads one message at a time.
    host.write = (message) => {
      sizes.push(message.length)
      write(message)
      return false
    }
    for (let id = 0; id < 500; id++) host.asking.writer.add(id, 60_000, pathBag(`/${id}`))
    handler.message(host.asking.writer.take())
    handler.halfClosed()
    for (const each of settle.splice(0)) each()
    await expect.poll(() => (handler.drained?.(), host.asking.order.length)).toBe(500)
    expect(sizes.length).toBeGreaterThan(20)
    expect(Math.max(...sizes)).toBeLessThan(80_000)
    await expect.poll(() => (handler.drained?.(), host.ended)).toBe(true)
  })

  it('reads no further where thousands of checks wait, until half of them are answered', async () => {
    const given = still()
    const settle: (() => void)[] = []
    given.check.decide = () =>
      new Promise((resolve) => settle.push(() => resolve({ answer: answerOf(), quotas: new Map() })))
    const { admission } = handAdmission({ maxInFlight: 10_000 })
    const { host, handler } = opened(given, admission)
    for (let id = 0; id < 4_096; id++) host.asking.writer.add(id, 60_000, pathBag('/a'))
    handler.message(host.asking.writer.take())
    expect(host.paused).toBe(true)
    for (const each of settle.splice(0, 2_000)) each()
    await expect.poll(() => host.asking.order.length).toBe(2_000)
    expect(host.paused).toBe(true)
    for (const each of settle.splice(0, 100)) each()
    await expect.poll(() => host.paused).toBe(false)
    handler.halfClosed()
    expect(host.ended).toBe(false)
    for (const each of settle.splice(0)) each()
    await expect.poll(() => host.ended).toBe(true)
    expect(host.asking.order).toHaveLength(4_096)
    expect(given.meter.counts.get('batch_pauses_total{}')).toBe(1)
  })

  it('leaves the loop to others in the midst of a large batch, and what comes meanwhile waits', () => {
    const given = dependencies()
    const turns: (() => void)[] = []
    let now = 0
    const turn = (next: () => void) => {
      turns.push(next)
      return () => undefined
    }
    const clock = { ...given.clock, monotonic: () => now, turn }
    given.check.decide = () => {
      now += 0.5
      return { answer: answerOf(), quotas: new Map() }
    }
    const { host, handler } = opened({ ...given, clock })
    const ids = Array.from({ length: 12 }, (_, id) => id)
    for (const id of ids) host.asking.writer.add(id, 0, pathBag('/a'))
    handler.message(host.asking.writer.take())
    expect(host.asking.order).toEqual(ids.slice(0, 6))
    host.asking.writer.add(12, 0, pathBag('/b'))
    handler.message(host.asking.writer.take())
    expect([host.asking.order.length, host.paused]).toEqual([6, true])
    handler.halfClosed()
    turns.shift()?.()
    expect([host.asking.order.length, host.ended]).toEqual([12, false])
    turns.shift()?.()
    expect([host.asking.order, host.paused, host.ended]).toEqual([[...ids, 12], false, true])
    expect(turns).toHaveLength(0)
  })

  it('leaves the loop to others in the midst of messages without a check, too', () => {
    const given = dependencies()
    const turns: (() => void)[] = []
    let now = 0
    const turn = (next: () => void) => {
      turns.push(next)
      return () => undefined
    }
    const { host, handler } = opened({ ...given, clock: { ...given.clock, monotonic: () => now++, turn } })
    host.takes = false
    host.asking.writer.add(1, 0, pathBag('/a'))
    handler.message(host.asking.writer.take())
    for (let i = 0; i < 100; i++) handler.message(Buffer.alloc(0))
    host.takes = true
    handler.drained?.()
    let count = 0
    for (let next = turns.shift(); next !== undefined; next = turns.shift(), count++) next()
    expect(count).toBeGreaterThan(10)
    expect(host.paused).toBe(false)
  })

  it('refuses single checks where the node has too many in flight', () => {
    const given = still()
    given.check.decide = () => new Promise(() => undefined)
    const { admission } = handAdmission({ maxInFlight: 2 })
    const { host, handler } = opened(given, admission)
    for (const id of [1, 2, 3]) host.asking.writer.add(id, 0, pathBag('/a'))
    handler.message(host.asking.writer.take())
    expect([...host.asking.failures]).toEqual([
      [3, { code: Code.UNAVAILABLE, message: 'too many calls in flight: ask another node' }],
    ])
  })
})
