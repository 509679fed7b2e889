// Unary calls over the connections of a link, and of a pool, to real servers.

import { afterEach, describe, expect, it } from 'vitest'
import { NodeLink } from '../../../src/client/nodes/node-link.ts'
import { NodePool } from '../../../src/client/nodes/node-pool.ts'
import { Code } from '../../../src/kernel/status.ts'
import { systemClock } from '../../../src/kernel/system-clock.ts'
import { GrpcFailure, type GrpcReply, type GrpcService } from '../../../src/server/grpc-service.ts'
import { dependencies } from '../../server/fixtures.ts'
import { createGrpcServer } from '../../server/transport.ts'
import { servedCalmly } from './served-calmly.ts'

const METHOD = '/test.Echo/Say'
const BYTES = Uint8Array.from({ length: 100_000 }, (_, i) => i % 251)

describe('a unary call to a node', () => {
  const ends: (() => unknown)[] = []

  /** A node whose method answers what `reply` says: the same bytes, unless given. */
  async function serve(maxMessageBytes?: number) {
    const echo = { asked: 0, reply: (bytes: Uint8Array): GrpcReply | Promise<GrpcReply> => bytes }
    const service: GrpcService = {
      name: 'test.Echo',
      methods: [
        {
          kind: 'unary',
          path: METHOD,
          answer(bytes) {
            echo.asked++
            return echo.reply(bytes)
          },
        },
      ],
    }
    const given = servedCalmly(dependencies())
    const server = createGrpcServer({
      ...given,
      services: [...given.services, service],
      ...(maxMessageBytes === undefined ? {} : { maxMessageBytes }),
    })
    const port = await server.listen({ host: '127.0.0.1', port: 0 })
    ends.push(() => server.drain(0))
    return { echo, server, address: { host: '127.0.0.1', port } }
  }

  async function linked(maxMessageBytes?: number) {
    const node = await serve(maxMessageBytes)
    const { address } = node
    let left = 0
    const refused: Error[] = []
    const link = new NodeLink({
      clock: systemClock,
      random: Math.random,
      address,
      connectTimeoutMs: 5_000,
      onLeaving: () => left++,
      onRefused: (error) => refused.push(error),
    })
    ends.push(() => link[Symbol.dispose]())
    return { ...node, link, refused, left: () => left }
  }

  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  it('brings the bytes of the answer, many at once', async () => {
    const { link } = await linked()
    const answers = await Promise.all(Array.from({ length: 50 }, () => link.call(METHOD, BYTES, 10_000)))
    for (const answer of answers) expect(Buffer.compare(answer, BYTES)).toBe(0)
    expect(link.waiting).toBe(0)
  })

  it('says what a status means', async () => {
    const { link, echo } = await linked()
    const meanings = [
      [Code.INVALID_ARGUMENT, 'INVALID_REQUEST'],
      [Code.RESOURCE_EXHAUSTED, 'OVERLOADED'],
      [Code.UNAVAILABLE, 'OVERLOADED'],
      [Code.PERMISSION_DENIED, 'BACKEND_REFUSED'],
      [Code.INTERNAL, 'BACKEND_FAILED'],
    ] as const
    for (const [status, code] of meanings) {
      echo.reply = () => new GrpcFailure(status, '50 % größer')
      const backend = 'answered'
      await expect(link.call(METHOD, BYTES, 5_000)).rejects.toMatchObject({ code, backend, message: '50 % größer' })
    }
    await expect(link.call('/no.Service/Method', BYTES, 5_000)).rejects.toMatchObject({ code: 'BACKEND_FAILED' })
  })

  it('is refused for good where it is larger than the node takes', async () => {
    const { link } = await linked(50_000)
    await expect(link.call(METHOD, BYTES, 10_000)).rejects.toMatchObject({ code: 'TOO_LARGE', retryable: false })
  })

  it('waits no longer than it is told, and no longer than the connection is there', async () => {
    const { link, echo, server } = await linked()
    echo.reply = () => new Promise(() => undefined)
    await expect(link.call(METHOD, BYTES, 50)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
    const waits = link.call(METHOD, BYTES, 60_000)
    await expect.poll(() => echo.asked).toBe(2)
    const failed = expect(waits).rejects.toMatchObject({ code: 'BACKEND_FAILED', retryable: true })
    await server.drain(0)
    await failed
    expect(link.waiting).toBe(0)
    await expect(link.call(METHOD, BYTES, 5_000)).rejects.toMatchObject({ code: 'BACKEND_FAILED' })
  })

  it('has its answer of a node that goes', async () => {
    const { link, echo, server, left } = await linked()
    const { promise, resolve } = Promise.withResolvers<GrpcReply>()
    echo.reply = () => promise
    const waits = link.call(METHOD, BYTES, 60_000)
    await expect.poll(() => echo.asked).toBe(1)
    server.retire()
    await expect.poll(left).toBe(1)
    resolve(Uint8Array.of(7))
    expect([...(await waits)]).toEqual([7])
  })

  it('is refused where too much waits already', async () => {
    const { link, echo } = await linked()
    const { promise, resolve } = Promise.withResolvers<GrpcReply>()
    echo.reply = () => promise
    const large = new Uint8Array(3 * 1024 * 1024)
    const waiting = Array.from({ length: 2 }, () => link.call(METHOD, large, 60_000))
    await expect(link.call(METHOD, large, 60_000)).rejects.toMatchObject({ code: 'OVERLOADED' })
    resolve(new Uint8Array(0))
    await Promise.all(waiting)
    echo.reply = () => BYTES
    expect(await link.call(METHOD, large, 60_000)).toHaveLength(BYTES.length)
  })

  it('takes no answer that is larger than answers are, and says so', async () => {
    const { link, echo, refused } = await linked()
    echo.reply = () => new Uint8Array(1024 * 1024 + 1)
    await expect(link.call(METHOD, BYTES, 60_000)).rejects.toMatchObject({
      code: 'BACKEND_FAILED',
      message: expect.stringContaining('1048576 are taken') as string,
    })
    expect(refused).toHaveLength(1)
    echo.reply = () => new Uint8Array(1024 * 1024)
    expect(await link.call(METHOD, BYTES, 60_000)).toHaveLength(1024 * 1024)
  })

  it('goes to the next node where one cannot answer, and to no other where the call is wrong', async () => {
    const nodes = await Promise.all([serve(), serve()])
    const pool = new NodePool({ clock: systemClock, random: Math.random, connectTimeoutMs: 5_000 })
    ends.push(() => pool[Symbol.dispose]())
    pool.setMembers(nodes.map(({ address }, i) => ({ id: `${i}`, address })))
    const call = () => pool.call(METHOD, BYTES, { affinity: 'k', tenant: 't', timeoutMs: 10_000 })
    await call()
    const [first, second] = nodes.toSorted((a, b) => b.echo.asked - a.echo.asked)
    if (first === undefined || second === undefined) throw new Error('two nodes are there')
    // A fault of one method says nothing of the node: it is asked first again.
    first.echo.reply = () => new GrpcFailure(Code.UNIMPLEMENTED, 'not here')
    await call()
    await call()
    expect([first.echo.asked, second.echo.asked]).toEqual([3, 2])
    first.echo.reply = () => new GrpcFailure(Code.INVALID_ARGUMENT, 'no')
    await expect(call()).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    expect([first.echo.asked, second.echo.asked]).toEqual([4, 2])
    await first.server.drain(0)
    await call()
    expect(second.echo.asked).toBe(3)
  })
})
