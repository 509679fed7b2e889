// The driver against real front doors, whose check service decides here.
import { createServer, type Server } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import { type AddressInfo, type Socket, createServer as createTcpServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { DoorName } from '../../../load/kit/doors.ts'
import { driveLoad } from '../../../load/kit/drive-load.ts'
import { Histogram } from '../../../load/kit/histogram.ts'
import { answered, type Load, type LoadResult, unanswered } from '../../../load/kit/load.ts'
import { runLoad } from '../../../load/kit/run-load.ts'
import { decisionOn } from '../../../load/oracle.ts'
import type { AttributeBag } from '../../../src/kernel/attribute-bag.ts'
import { type AttributeValue, isStringMap } from '../../../src/kernel/value.ts'
import { Admission } from '../../../src/server/admission.ts'
import { fastifyHost } from '../../../src/server/fastify-host.ts'
import { createHttpServer } from '../../../src/server/http.ts'
import { answerOf, dependencies, served } from '../../server/fixtures.ts'
import { createGrpcServer } from '../../server/transport.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

type Rest = Partial<Omit<Load, 'parts'>>

function loadAt(port: number, doors: readonly DoorName[], rest: Rest = {}): Load {
  return {
    parts: doors.map((door) => ({ door, share: 1, address: { host: '127.0.0.1', port } })),
    request: 'bare',
    keys: { count: 20, zipf: 0 },
    pace: steady(1_000, 0.2),
    settleSeconds: 0,
    connections: 2,
    timeoutMs: 10_000,
    seed: 1,
    decides: true,
    fill: false,
    pids: [process.pid],
    ...rest,
  }
}

function steady(perSecond: number, seconds: number): Load['pace'] {
  return { kind: 'open', phases: [{ from: perSecond, to: perSecond, seconds }] }
}

/** A map by its entries: each door has a map of its own kind. */
function plain([name, value]: readonly [string, AttributeValue | undefined]) {
  return [name, value !== undefined && isStringMap(value) ? Object.fromEntries(value.entries()) : value]
}

function pathIn(bag: AttributeBag): string {
  const path = bag.get('request.path')
  return typeof path === 'string' ? path : 'none'
}

/** Calls that came are calls that are told of, whatever became of them. */
const total = (result: LoadResult) => answered(result) + unanswered(result)

describe('against the real doors', () => {
  let given: ReturnType<typeof dependencies>
  let ports: Record<'grpc' | 'http', number>

  beforeEach(async () => {
    const basis = dependencies()
    // However busy the machine is, nothing is shed: for the admission no time passes.
    const admission = new Admission({
      ...basis,
      clock: { ...basis.clock, monotonic: () => 0 },
      loopLag: { lagMs: () => 0 },
      maxInFlight: 1_000_000,
    })
    given = { ...basis, admission }
    given.check.decide = (bag) => {
      const decision = decisionOn(pathIn(bag))
      return { answer: answerOf({ status: { code: decision === 'deny' ? 7 : 0, message: '' } }), quotas: new Map() }
    }
    const grpc = createGrpcServer(served(given))
    const http = createHttpServer(given, fastifyHost)
    ports = {
      grpc: await grpc.listen({ host: '127.0.0.1', port: 0 }),
      http: await http.listen({ host: '127.0.0.1', port: 0 }),
    }
    ends.push(
      () => grpc.drain(1_000),
      () => http.drain(1_000),
    )
  })

  const DOORS: readonly (readonly [DoorName, 'grpc' | 'http'])[] = [
    ['ext_authz', 'grpc'],
    ['mixer', 'grpc'],
    ['batch', 'grpc'],
    ['http', 'http'],
  ]

  it.each(DOORS)('%s: every call has the answer that the oracle gives, denials included', async (door, protocol) => {
    const result = await driveLoad(loadAt(ports[protocol], [door], { fill: true }))
    expect(result.reasons).toEqual({})
    expect(result.counts.wrong).toBe(0)
    expect(result.counts.deny).toBeGreaterThan(0)
    expect(result.counts.allow).toBeGreaterThan(result.counts.deny)
    expect(given.check.asked).toHaveLength(20 + total(result))
    const paths = new Set(given.check.asked.map(({ bag }) => pathIn(bag)))
    expect(paths.size).toBe(20)
  })

  it.each(DOORS)('%s: an answer that is not the oracle’s is wrong', async (door, protocol) => {
    given.check.answer({})
    const { counts } = await driveLoad(loadAt(ports[protocol], [door]))
    expect(counts.wrong).toBeGreaterThan(0)
    expect(counts.deny).toBe(0)
  })

  it.each(DOORS)('%s: a code that is no denial is no answer, and is said', async (door, protocol) => {
    given.check.answer({ status: { code: 14, message: 'no backend' } })
    const result = await driveLoad(loadAt(ports[protocol], [door]))
    expect(answered(result)).toBe(0)
    expect(result.counts.failed).toBe(total(result))
    expect(Object.keys(result.reasons)[0]).toMatch(/^failed/)
  })

  it('the batch stream asks the same as Mixer', async () => {
    const asked = async (door: DoorName) => {
      given.check.asked.length = 0
      const load = loadAt(ports.grpc, [door], { request: 'mesh', keys: { count: 1, zipf: 0 }, pace: steady(100, 0.2) })
      expect((await driveLoad(load)).reasons).toEqual({})
      const bag = given.check.lastBag
      return [...given.check.vocabulary().keys()].map((name) => [name, bag.get(name)] as const)
    }
    const batch = await asked('batch')
    expect(batch.filter(([, value]) => value !== undefined).length).toBeGreaterThan(8)
    expect(batch.map(plain)).toEqual((await asked('mixer')).map(plain))
  })

  it('a closed loop has so many under way, and never more', async () => {
    let [underWay, most] = [0, 0]
    given.check.decide = async () => {
      most = Math.max(most, ++underWay)
      await new Promise((resolve) => setImmediate(resolve))
      underWay--
      return { answer: answerOf(), quotas: new Map() }
    }
    const pace = { kind: 'closed', inFlight: 7, seconds: 0.2 } as const
    const result = await driveLoad(loadAt(ports.grpc, ['ext_authz'], { pace }))
    expect(most).toBe(7)
    expect(total(result)).toBeGreaterThanOrEqual(7)
    expect(given.check.asked).toHaveLength(total(result))
  })

  it('a door that is not there is told apart from one that fails', async () => {
    const result = await driveLoad(loadAt(ports.grpc, ['rls']))
    expect(result.counts.missing).toBe(total(result))
    expect(Object.keys(result.reasons)[0]).toMatch(/^missing: UNIMPLEMENTED/)
  })

  it('mixes doors and keys as it is told, and the same seed asks the same', async () => {
    const load = loadAt(ports.grpc, ['ext_authz', 'mixer'], {
      pace: steady(1_000, 0.5),
      keys: { count: 10, zipf: 1, fresh: 0.1 },
    })
    const asked = async (seed: number) => {
      given.check.asked.length = 0
      const result = await driveLoad({
        ...load,
        seed,
        parts: load.parts.map((part, index) => ({ ...part, share: index + 1 })),
      })
      expect(result.reasons).toEqual({})
      return given.check.asked.map(({ bag }) => `${bag.get('request.headers') === undefined} ${pathIn(bag)}`)
    }
    const first = (await asked(1)).sort()
    expect((await asked(1)).sort()).toEqual(first)
    expect((await asked(2)).sort()).not.toEqual(first)
    const mixer = first.filter((line) => line.startsWith('true')).length / first.length
    expect(mixer).toBeGreaterThan(0.5)
    expect(mixer).toBeLessThan(0.8)
    const fresh = first.filter((line) => !line.endsWith('0000000')).length / first.length
    expect(fresh).toBeGreaterThan(0.04)
    expect(fresh).toBeLessThan(0.2)
  })

  it('fills: each key is asked once before what is counted', async () => {
    const result = await driveLoad(
      loadAt(ports.grpc, ['ext_authz'], { fill: true, keys: { count: 300, zipf: 3 }, pace: steady(100, 0.2) }),
    )
    const paths = given.check.asked.slice(0, 300).map(({ bag }) => pathIn(bag))
    expect(new Set(paths).size).toBe(300)
    expect(given.check.asked).toHaveLength(300 + total(result))
  })

  it('leaves out what was sent while it settled, and shows it over time', async () => {
    const result = await driveLoad(loadAt(ports.grpc, ['ext_authz'], { settleSeconds: 0.3, pace: steady(200, 1.1) }))
    expect(result.seconds).toBeCloseTo(0.8, 6)
    expect(total(result)).toBeLessThan(given.check.asked.length)
    expect(Histogram.of(result.latency).count).toBe(total(result))
    expect(result.series[0]?.due).toBeCloseTo(200, -2)
  })

  it('is a process of its own, too', async () => {
    const result = await runLoad(loadAt(ports.grpc, ['ext_authz'], { seed: 3 }))
    expect(answered(result)).toBe(given.check.asked.length)
    expect(result.peakBytes).toBeGreaterThan(2 ** 20)
    await expect(runLoad(loadAt(-1, ['ext_authz']))).rejects.toThrow(/the driver: .*Port should be/)
  })
})

describe('an open loop', () => {
  it('goes on sending while answers are awaited, and counts latency from the intended time', async () => {
    const held: (() => void)[] = []
    let asked = 0
    // Nobody is answered before fifty have asked: a driver that waits for answers would never get there.
    const server = createServer((request, response) => {
      request.resume()
      held.push(() => response.writeHead(200, { 'content-length': 0 }).end())
      if (++asked >= 50) for (const release of held.splice(0)) release()
    })
    const port = await listen(server)
    const result = await driveLoad(
      loadAt(port, ['http'], { decides: false, pace: steady(200, 0.5), timeoutMs: 30_000, connections: 64 }),
    )
    expect(answered(result)).toBe(total(result))
    // The first of fifty waited for the fiftieth, a quarter of a second after it by the schedule of this seed.
    expect(Histogram.of(result.latency).max / 1_000).toBeGreaterThanOrEqual(150)
  })

  it('lets calls wait for a connection, or counts them as unsent where nobody would wait', async () => {
    let release = () => {}
    const server = createServer((request, response) => {
      request.resume()
      const answer = () => response.writeHead(200, { 'content-length': 0 }).end()
      if (++asked === 70) release = answer
      else answer()
    })
    let asked = 0
    const port = await listen(server)
    const load = loadAt(port, ['http'], { decides: false, pace: steady(400, 0.25), timeoutMs: 20_000 })
    const patient = driveLoad(load)
    await expect.poll(() => asked).toBeGreaterThanOrEqual(70)
    release()
    expect((await patient).counts).toMatchObject({ unsent: 0, gone: 0 })
  })

  it('gives up what takes too long: gone where it was sent, unsent where no connection was free', async () => {
    const server = createServer((request) => request.resume())
    const port = await listen(server)
    const load = loadAt(port, ['http'], { decides: false, pace: steady(1_000, 0.2), timeoutMs: 1_000 })
    const { counts } = await driveLoad(load)
    expect(counts.gone).toBe(64)
    expect(counts.unsent).toBeGreaterThan(50)
    const { counts: impatient } = await driveLoad({
      ...load,
      pace: { ...steady(1_000, 0.2), impatient: true } as Load['pace'],
    })
    expect(impatient.gone).toBe(64)
    expect(impatient.unsent).toBeGreaterThan(50)
  })
})

describe('what goes wrong on the way', () => {
  it('is told: a connection that breaks, an answer that is no HTTP/2', async () => {
    const sockets = new Set<Socket>()
    const server = createTcpServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    ends.push(() => server.close())
    const { port } = server.address() as AddressInfo
    const result = await driveLoad(loadAt(port, ['ext_authz'], { pace: steady(50, 0.3), timeoutMs: 200 }))
    expect(answered(result)).toBe(0)
    expect(total(result)).toBeGreaterThan(5)
    expect(Object.keys(result.reasons).join()).toMatch(/connection: /)
    const { reasons } = await driveLoad(loadAt(1, ['http'], { pace: steady(50, 0.2), timeoutMs: 200 }))
    expect(Object.keys(reasons).join()).toMatch(/connection: .*ECONNREFUSED/)
  })

  it('is survived: a server that ends its connections again and again, with calls of a few hundred bytes in small windows', async () => {
    const server = createHttp2Server({
      settings: { initialWindowSize: 2_000, maxConcurrentStreams: 3, headerTableSize: 0 },
    })
    let streams = 0
    server.on('stream', (stream) => {
      stream.on('error', () => {})
      stream.resume()
      stream.on('end', () => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
        stream.end(Buffer.from([0, 0, 0, 0, 2, 0x0a, 0x00]))
        if (++streams % 40 === 0) stream.session?.close()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    ends.push(() => new Promise((resolve) => server.close(resolve)))
    const { port } = server.address() as AddressInfo
    const result = await driveLoad(
      loadAt(port, ['ext_authz'], { decides: false, request: 'mesh', pace: steady(500, 0.6), timeoutMs: 20_000 }),
    )
    const { shed, failed } = result.counts
    expect(answered(result)).toBeGreaterThan(200)
    // What was on its way when the server said goodbye.
    expect(shed + failed).toBeLessThan(total(result) / 4)
    expect(total(result)).toBe(shed + failed + answered(result))
  })
})

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  ends.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}
