// Calls over Node's own server of HTTP/2, which does by chance all that servers may: no answer is lost, mixed up or given twice.
import { once } from 'node:events'
import { createServer, type ServerHttp2Session, type ServerHttp2Stream, type Settings } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { NodeLink } from '../../../src/client/nodes/node-link.ts'
import type { IntermixError } from '../../../src/kernel/errors.ts'
import { systemClock } from '../../../src/kernel/system-clock.ts'
import { type Picker, seededPicker } from '../../properties/random.ts'

const CALLS = 60
const PATIENCE_MS = 20_000
const HEAD = { ':status': 200, 'content-type': 'application/grpc' }

const ends: (() => unknown)[] = []
afterEach(() => {
  for (const end of ends.splice(0).toReversed()) end()
})

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => void setImmediate(resolve))
}

/** A server that echoes, unless the path says something else. */
class RandomServer {
  readonly sessions = new Set<ServerHttp2Session>()
  /** How often the request of each path has come as a whole. */
  readonly came = new Map<string, number>()
  /** Whether it has said that it takes no more streams. */
  hasGone = false
  readonly takesFew: boolean
  readonly #pick: Picker
  readonly #maxStreams: number

  constructor(pick: Picker) {
    this.#pick = pick
    this.takesFew = pick.chance(0.5)
    this.#maxStreams = this.takesFew ? 2 + pick.int(20) : 1_000
  }

  async start(): Promise<number> {
    const server = createServer({ settings: this.#settings() })
    server.on('session', (session) => {
      this.sessions.add(session)
      session.on('error', () => undefined)
      session.once('close', () => this.sessions.delete(session))
    })
    server.on('stream', (stream, headers) => {
      stream.on('error', () => undefined)
      void this.#take(stream, String(headers[':path']))
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    ends.push(() => {
      for (const session of this.sessions) session.destroy()
      server.close()
    })
    return (server.address() as AddressInfo).port
  }

  /** Does something between calls. @param isRude as servers do that crash */
  act(isRude: boolean): void {
    const pick = this.#pick
    const [session] = this.sessions
    if (session === undefined || session.destroyed) return
    if (pick.chance(0.05)) session.settings(this.#settings())
    if (pick.chance(0.02)) session.ping(() => undefined)
    if (pick.chance(0.02)) {
      this.hasGone = true
      session.goaway(0)
    }
    if (!isRude || !pick.chance(0.04)) return
    this.hasGone = true
    if (pick.chance(0.5)) session.destroy()
    else session.goaway(pick.of([0, 2]), 1)
  }

  #settings(): Settings {
    const pick = this.#pick
    return {
      initialWindowSize: pick.of([60, 1_000, 16_384, 65_535, 1_000_000]),
      maxFrameSize: 16_384 + pick.int(100_000),
      maxConcurrentStreams: this.#maxStreams,
      headerTableSize: pick.of([0, 60, 4_096, 65_536]),
    }
  }

  async #take(stream: ServerHttp2Stream, path: string): Promise<void> {
    const pick = this.#pick
    // The stream of checks, which nobody asks anything over here.
    if (path.endsWith('/Check')) {
      stream.respond(HEAD)
      stream.resume()
      return
    }
    if (pick.chance(0.3)) await turns(pick.int(20))
    if (stream.destroyed) return
    if (path.startsWith('/early/')) return stream.respond({ ...HEAD, 'grpc-status': '8' }, { endStream: true })
    const body: Buffer[] = []
    stream.on('data', (chunk: Buffer) => {
      body.push(chunk)
      if (!pick.chance(0.05)) return
      stream.pause()
      void turns(pick.int(10)).then(() => stream.resume())
    })
    stream.on('end', () => {
      this.came.set(path, (this.came.get(path) ?? 0) + 1)
      void this.#answer(stream, path, Buffer.concat(body))
    })
  }

  async #answer(stream: ServerHttp2Stream, path: string, body: Buffer): Promise<void> {
    const pick = this.#pick
    await turns(pick.int(15))
    if (stream.destroyed) return
    if (path.startsWith('/reset/')) return stream.close(8 + pick.int(4))
    // The table of headers is used, and changes.
    const extra = () => ({ [`x-${pick.int(30)}`]: 'v'.repeat(pick.int(300)) })
    stream.respond({ ...HEAD, ...extra() }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', ...extra() }))
    for (let at = 0; at < body.length && !stream.destroyed; ) {
      const end = at + 1 + pick.int(pick.chance(0.5) ? 30 : 60_000)
      stream.write(body.subarray(at, end))
      at = end
      if (pick.chance(0.2)) await turns(pick.int(4))
    }
    if (!stream.destroyed) stream.end()
  }
}

/** @returns what went wrong */
async function run(seed: number): Promise<string[]> {
  const pick = seededPicker(seed)
  const server = new RandomServer(pick)
  const address = { host: '127.0.0.1', port: await server.start() }
  const faults: string[] = []
  const onRefused = (error: Error) => void faults.push(`refused: ${error.message}`)
  const times = { clock: systemClock, random: () => 0, connectTimeoutMs: 5_000 }
  const link = new NodeLink({ ...times, address, onLeaving: () => undefined, onRefused })
  ends.push(() => link[Symbol.dispose]())
  const isRude = pick.chance(0.3)

  /** Whether a call may fail with this error. */
  const isAllowed = ({ cause }: IntermixError) =>
    isRude ||
    // Both attempts may have met a server that goes.
    (server.hasGone && String(cause).includes('takes no more streams')) ||
    // Node's server counts streams that have ended as open for a while.
    (server.takesFew && /\((7|11)\)/.test(String(cause)))

  const call = async (index: number) => {
    const kind = pick.chance(0.75) ? 'echo' : pick.of(['reset', 'early'])
    const body = Buffer.alloc(pick.int(pick.chance(0.8) ? 3_000 : 300_000), `${seed}.${index}.`)
    const isHasty = pick.chance(0.08)
    try {
      const answer = await link.call(`/${kind}/${index}`, body, isHasty ? 1 + pick.int(5) : PATIENCE_MS)
      if (kind !== 'echo' || !body.equals(answer)) faults.push(`${kind} ${index} has an answer that is not its own`)
    } catch (error) {
      if (kind === 'echo' && !isHasty && !isAllowed(error as IntermixError))
        faults.push(`echo ${index} is lost: ${String((error as Error).cause ?? error)}`)
    }
  }

  const calls: Promise<void>[] = []
  for (let index = 0; index < CALLS; index++) {
    calls.push(call(index))
    if (pick.chance(0.3)) await turns(pick.int(10))
    server.act(isRude)
  }
  await Promise.all(calls)
  // Node's server may go on with what came while it said that it does not.
  if (!server.hasGone)
    for (const [path, count] of server.came) if (count > 1) faults.push(`${path} came ${count} times`)
  if (link.waiting > 0) faults.push(`${link.waiting} still wait`)
  return faults
}

describe('calls, whatever their server does', () => {
  it.each(Array.from({ length: 25 }, (_, seed) => seed + 1))('have their own answers, once (%i)', async (seed) => {
    expect(await run(seed)).toEqual([])
  })
})
