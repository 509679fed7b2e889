// The asking end of a batch stream, over a real server.

import { connect, createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { createServer as createNode, type ServerHttp2Session } from 'node:http2'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { NodeAddress } from '../../../src/client/nodes/node-address.ts'
import { NodeLink } from '../../../src/client/nodes/node-link.ts'
import type { AnswerShape } from '../../../src/kernel/answer-shape.ts'
import { MapBag } from '../../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../../src/kernel/errors.ts'
import type { CheckOutcome } from '../../../src/kernel/services.ts'
import { Code } from '../../../src/kernel/status.ts'
import { systemClock } from '../../../src/kernel/system-clock.ts'
import type { GrpcServer } from '../../../src/server/grpc-server.ts'
import { answerOf, dependencies } from '../../server/fixtures.ts'
import { createGrpcServer } from '../../server/transport.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { servedCalmly } from './served-calmly.ts'

const about = (path: string, timeoutMs: number) => ({ bag: MapBag.of({ 'request.path': path }), timeoutMs })
const SHAPE: AnswerShape = {
  config: 'c1',
  scope: 's1',
  handlers: ['h'],
  generated: [],
  choosing: [],
  reads: [{ id: 'arequest.path', question: { kind: 'attribute', name: 'request.path' }, outcome: 'present' }],
  epoch: { generation: 'g', sequence: 3 },
}

const turnOfLoop = () => new Promise((resolve) => void setImmediate(resolve))

describe('a link to a node', () => {
  const ends: (() => unknown)[] = []
  let given: ReturnType<typeof dependencies>
  let server: GrpcServer
  let port: number

  async function serve(): Promise<void> {
    server = createGrpcServer(servedCalmly(given))
    port = await server.listen({ host: '127.0.0.1', port: 0 })
    const mine = server
    ends.push(() => mine.drain(1_000))
  }

  function linked(address: NodeAddress = { host: '127.0.0.1', port }, connectTimeoutMs = 1_000) {
    let left = 0
    const link = new NodeLink({
      clock: systemClock,
      random: Math.random,
      address,
      connectTimeoutMs,
      onLeaving: () => left++,
    })
    ends.push(() => link[Symbol.dispose]())
    return { link, left: () => left }
  }

  beforeEach(async () => {
    given = dependencies()
    await serve()
  })

  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  it('brings answers with what they depended on, many checks in one message', async () => {
    given.check.decide = (bag, options) => ({
      answer: answerOf({
        validUses: 7,
        requestHeaders: [{ name: 'x', value: bag.get('request.path') as string, operation: 'REPLACE' }],
      }),
      quotas: new Map(),
      shape: options.shape === true && options.keepsAnswer === true ? SHAPE : undefined,
    })
    const { link } = linked()
    const paths = Array.from({ length: 500 }, (_, i) => `/${i}`)
    const answers = await Promise.all(paths.map((path) => link.ask(about(path, 5_000))))
    expect(answers.map(({ answer }) => answer.requestHeaders[0]?.value)).toEqual(paths)
    const { question, outcome } = SHAPE.reads[0] as (typeof SHAPE.reads)[0]
    expect(answers[499]?.shape).toMatchObject({ ...SHAPE, reads: [{ question, outcome }] })
    // One to say that answers are kept, and one with all checks.
    expect(given.meter.counts.get('batch_messages_total{}')).toBe(2)
    expect(link.waiting).toBe(0)
  })

  it('sends as several messages what is too much for one, and refuses a check that is', async () => {
    const { link } = linked()
    const paths = Array.from({ length: 60 }, (_, i) => `/${i}${'x'.repeat(65_000)}`)
    const [one, other] = await Promise.allSettled([
      Promise.all(paths.map((path) => link.ask(about(path, 10_000)))),
      link.ask(about('x'.repeat(4 * 1024 * 1024), 10_000)),
    ])
    expect(one).toMatchObject({ status: 'fulfilled', value: paths.map(() => ({ answer: { status: { code: 0 } } })) })
    expect(other).toMatchObject({ status: 'rejected', reason: { code: 'TOO_LARGE', retryable: false } })
    expect(new Set(given.check.asked.map(({ bag }) => bag.get('request.path')))).toEqual(new Set(paths))
    expect(given.meter.counts.get('batch_messages_total{}')).toBeGreaterThan(25)
  })

  it('says which quotas are charged, and brings what was granted', async () => {
    const grant = { status: { code: 0, message: '' }, granted: 3, validForMs: 50, referenced: [], shape: SHAPE }
    given.check.decide = (_, { quotas = new Map(), ...options }) => {
      expect(options).toMatchObject({ deduplicationId: 'd1', charging: 'named', uses: 7 })
      expect([...quotas]).toEqual([['hits', { amount: 3, bestEffort: true }]])
      return { answer: answerOf(), quotas: new Map([['hits', grant]]), shape: SHAPE, staleForMs: 900 }
    }
    given.quotas.decide = (_, demands, { deduplicationId, shape }) => {
      expect([[...demands], deduplicationId, shape]).toEqual([
        [['hits', { amount: -2, bestEffort: false }]],
        'd2',
        true,
      ])
      return new Map([['hits', { ...grant, granted: -2, shape: undefined }]])
    }
    const { link } = linked()
    const charged = await link.ask({
      ...about('/a', 5_000),
      quotas: new Map([['hits', { amount: 3, bestEffort: true }]]),
      deduplicationId: 'd1',
      charging: 'named',
      uses: 7,
    })
    expect(charged.staleForMs).toBe(900)
    const told = charged.grants.get('hits')
    expect(told).toMatchObject({ status: { code: 0 }, granted: 3, validForMs: 50, shape: { scope: 's1' } })
    const back = await link.ask({
      ...about('/a', 5_000),
      quotas: new Map([['hits', { amount: -2, bestEffort: false }]]),
      deduplicationId: 'd2',
      quotasOnly: true,
    })
    expect(back).toMatchObject({ answer: { status: { code: 0 }, validUses: 0 }, shape: undefined })
    expect(back.grants.get('hits')).toMatchObject({ granted: -2, shape: undefined })
    expect(given.check.asked).toHaveLength(1)
  })

  it('tells a denial from a node that did not judge', async () => {
    given.check.decide = (bag) => {
      const path = bag.get('request.path')
      if (path === '/busy') throw new IntermixError('OVERLOADED', 'too much to do')
      if (path === '/bug') throw new TypeError('a bug')
      const code = path === '/shut' ? Code.PERMISSION_DENIED : Code.OK
      return { answer: answerOf({ status: { code, message: '' } }), quotas: new Map() }
    }
    const { link } = linked()
    expect((await link.ask(about('/shut', 5_000))).answer.status.code).toBe(Code.PERMISSION_DENIED)
    await expect(link.ask(about('/busy', 5_000))).rejects.toMatchObject({ code: 'OVERLOADED' })
    await expect(link.ask(about('/bug', 5_000))).rejects.toMatchObject({ code: 'BACKEND_FAILED' })
    expect((await link.ask(about('/open', 5_000))).answer.status.code).toBe(0)
  })

  it('waits no longer than it is told, and for nothing that comes later', async () => {
    const late: ((outcome: CheckOutcome) => void)[] = []
    given.check.decide = () => new Promise((resolve) => late.push(resolve))
    const { link } = linked()
    await expect(link.ask(about('/a', 50))).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
    expect(link.waiting).toBe(0)
    const next = link.ask(about('/b', 5_000))
    await expect.poll(() => late.length).toBe(2)
    for (const resolve of late) resolve({ answer: answerOf({ validUses: 3 }), quotas: new Map() })
    expect((await next).answer.validUses).toBe(3)
  })

  it('leaves a node that goes when it has its answers, and opens another stream meanwhile', async () => {
    const late: ((outcome: CheckOutcome) => void)[] = []
    given.check.decide = () => new Promise((resolve) => late.push(resolve))
    const { link, left } = linked()
    const waits = link.ask(about('/a', 5_000))
    await expect.poll(() => late.length).toBe(1)
    server.retire()
    await expect.poll(left).toBe(1)
    given.check.answer({ validUses: 2 })
    expect((await link.ask(about('/b', 5_000))).answer.validUses).toBe(2)
    late[0]?.({ answer: answerOf({ validUses: 1 }), quotas: new Map() })
    expect((await waits).answer.validUses).toBe(1)
  })

  it('fails what waits when the connection is lost, and connects again when it is asked again', async () => {
    given.check.decide = () => new Promise(() => undefined)
    const { link } = linked()
    const waits = link.ask(about('/a', 60_000))
    await expect.poll(() => given.check.asked.length).toBe(1)
    const failed = expect(waits).rejects.toMatchObject({ code: 'BACKEND_FAILED', retryable: true })
    await server.drain(0)
    await failed
    expect(link.waiting).toBe(0)
    await expect(link.ask(about('/b', 5_000))).rejects.toMatchObject({ code: 'BACKEND_FAILED' })
  })

  it('keeps no connection to a node that takes nothing new over it and never ends it', async () => {
    const node = createNode()
    const sessions = new Set<ServerHttp2Session>()
    node.on('session', (session) => {
      sessions.add(session)
      session.on('error', () => undefined)
      session.once('close', () => sessions.delete(session))
    })
    const asked: unknown[] = []
    node.on('stream', (stream) => {
      asked.push(stream)
      stream.on('error', () => undefined)
      stream.respond({ ':status': 200 })
      stream.session?.goaway(0)
    })
    node.listen(0, '127.0.0.1')
    await once(node, 'listening')
    ends.push(() => {
      for (const session of sessions) session.destroy()
      node.close()
    })
    const { link } = linked({ host: '127.0.0.1', port: (node.address() as { port: number }).port })
    while (asked.length < 5) await expect(link.ask(about('/a', 100))).rejects.toMatchObject({ retryable: true })
    await expect.poll(() => sessions.size).toBeLessThanOrEqual(1)
  })

  it('holds nothing for an address that cannot be sent, and throws nowhere but where it is asked', async () => {
    let lost = 0
    const news = { name: 'n', heard: () => ({ epoch: undefined }), take: () => false, lost: () => void lost++ }
    const address = { host: 'a\u0001b', port: 1 }
    const clock = new FakeClock()
    const link = new NodeLink({ clock, random: () => 1, address, connectTimeoutMs: 1_000, onLeaving: () => {}, news })
    link.open()
    expect(lost).toBe(1)
    // As after any connection that was lost, there is a pause.
    await expect(link.ask(about('/a', 5_000))).rejects.toMatchObject({ code: 'BACKEND_FAILED', retryable: true })
    await clock.advance(1_000)
    await expect(link.ask(about('/b', 5_000))).rejects.toMatchObject({
      code: 'BACKEND_FAILED',
      cause: { message: 'a header holds the character U+0001' },
    })
    expect(clock.pending).toBe(0)
    // Its name may be looked up meanwhile.
    await expect.poll(() => process.getActiveResourcesInfo()).not.toContain('GetAddrInfoReqWrap')
  })

  it('says at once that nobody listens, and in time that nobody answers', async () => {
    const { link } = linked({ host: '127.0.0.1', port: 1 })
    // The address is for logs: callers of a proxy are shown the message.
    await expect(link.ask(about('/a', 60_000))).rejects.toMatchObject({
      code: 'BACKEND_FAILED',
      message: 'the node cannot be asked: the connection failed',
      cause: { message: expect.stringContaining('127.0.0.1:1') },
    })
    const silent: Server = createServer(() => undefined)
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    ends.push(() => silent.close())
    const address = { host: '127.0.0.1', port: (silent.address() as { port: number }).port }
    await expect(linked(address, 50).link.ask(about('/a', 60_000))).rejects.toMatchObject({ code: 'BACKEND_FAILED' })
  })

  it('stays with a node that has too many to greet, and asks it nothing before it has spoken', async () => {
    // It takes connections, and has no time for them.
    const held: Socket[] = []
    const busy = createServer((socket) => {
      socket.on('error', () => undefined)
      held.push(socket.pause())
    })
    busy.listen(0, '127.0.0.1')
    await once(busy, 'listening')
    ends.push(() => {
      for (const socket of held) socket.destroy()
      busy.close()
    })
    const { link } = linked({ host: '127.0.0.1', port: (busy.address() as { port: number }).port }, 50)
    const silent = { code: 'BACKEND_FAILED', message: expect.stringContaining('has not spoken') as string }
    await expect(link.ask(about('/a', 60_000))).rejects.toMatchObject(silent)
    expect(link.isLate).toBe(true)
    await expect(link.ask(about('/b', 60_000))).rejects.toMatchObject(silent)
    expect([link.waiting, held.length]).toEqual([0, 1])
    const [socket] = held
    const through = connect(port, '127.0.0.1')
    ends.push(() => through.destroy())
    through.on('error', () => undefined)
    socket?.pipe(through).pipe(socket)
    await expect.poll(() => link.isLate).toBe(false)
    expect((await link.ask(about('/c', 5_000))).answer.status.code).toBe(0)
    expect(held.length).toBe(1)
  })

  it('connects once for all that is asked of a node which ends its connections', async () => {
    let connections = 0
    const ending = createServer((socket) => {
      connections++
      socket.on('error', () => undefined)
      socket.destroy()
    })
    ending.listen(0, '127.0.0.1')
    await once(ending, 'listening')
    ends.push(() => ending.close())
    const address = { host: '127.0.0.1', port: (ending.address() as { port: number }).port }
    const clock = new FakeClock()
    const link = new NodeLink({
      clock,
      random: () => 1,
      address,
      connectTimeoutMs: 1_000,
      onLeaving: () => {},
    })
    ends.push(() => link[Symbol.dispose]())
    for (let i = 0; i < 20; i++)
      await expect(link.ask(about(`/${i}`, 5_000))).rejects.toMatchObject({ code: 'BACKEND_FAILED', retryable: true })
    link.open()
    expect(connections).toBe(1)
    await clock.advance(100)
    await expect(link.ask(about('/again', 5_000))).rejects.toMatchObject({ code: 'BACKEND_FAILED' })
    expect(connections).toBe(2)
  })

  it('ends the stream of a node that sends more than nodes send, before it has come', async () => {
    const node = createNode()
    let bytes = 0
    node.on('session', (session) => session.on('error', () => undefined))
    node.on('stream', (stream) => {
      stream.on('error', () => undefined)
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
      const chunk = Buffer.alloc(64 * 1024)
      stream.write(Buffer.of(0, 1, 0, 0, 0))
      const more = () => {
        while (!stream.destroyed) {
          bytes += chunk.length
          if (!stream.write(chunk)) break
        }
      }
      stream.on('drain', more)
      more()
    })
    node.listen(0, '127.0.0.1')
    await once(node, 'listening')
    ends.push(() => node.close())
    const refused: Error[] = []
    const link = new NodeLink({
      clock: systemClock,
      random: Math.random,
      address: { host: '127.0.0.1', port: (node.address() as { port: number }).port },
      connectTimeoutMs: 5_000,
      onLeaving: () => {},
      onRefused: (error) => refused.push(error),
    })
    ends.push(() => link[Symbol.dispose]())
    await expect(link.ask(about('/a', 60_000))).rejects.toMatchObject({ code: 'BACKEND_FAILED' })
    expect(refused.map(({ message }) => message)).toEqual(['a message of 16777216 bytes came; 8388608 are taken'])
    expect(bytes).toBeLessThan(16 * 1024 * 1024)
  })

  it('may be closed at any moment of its beginning', async () => {
    for (let turns = 0; turns < 60; turns++) {
      const { link } = linked()
      link.open()
      for (let turn = 0; turn < turns; turn++) await (turn % 2 === 0 ? turnOfLoop() : Promise.resolve())
      link[Symbol.dispose]()
      await turnOfLoop()
    }
  })
})
