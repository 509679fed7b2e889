// The listener on which adapters offer what they have to be asked for: the metrics that the prometheus adapter makes.

import { pipeline, Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { constants, createGzip } from 'node:zlib'
import Fastify from 'fastify'
import { type Exposed, joinParts, partsOf, piecesOf } from '../adapter-kit/exposed-part.ts'
import { Latest } from '../kernel/latest.ts'
import type { Logger } from '../kernel/ports.ts'

/** Renders one body. */
type Render = () => Exposed | Promise<Exposed>

interface Offer {
  readonly contentType: string
  readonly render: Render
}

export interface AdapterListener {
  /**
   * Offers a body at a path until the returned function is called, in place of what a handler of that name offered there, which is
   * offered again afterwards. Bodies of several handlers at one path are joined.
   */
  expose(path: string, contentType: string, render: Render, handler: string): () => void
  /** @returns `host:port`. Rejects where the address cannot be had. */
  listen(address: { readonly host: string; readonly port: number }): Promise<string>
  close(): Promise<void>
}

/** A longer body is encoded and sent in pieces, so that the process does other work meanwhile. */
const MAX_WHOLE_CHARS = 1024 * 1024

const MAX_CHARS_AT_ONCE = 256 * 1024

/** Creates the listener; nothing is opened yet. */
export function createAdapterListener(log: Logger): AdapterListener {
  const offers = new Map<string, Latest<Offer>>()
  const app = Fastify({ logger: false, forceCloseConnections: true, routerOptions: { ignoreTrailingSlash: true } })
  // Fastify answers HEAD of itself, with the head of what GET answers.
  app.get('/*', async (request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '/'
    const found = offers.get(path)?.values() ?? []
    const [first] = found
    if (first === undefined) {
      const known = [...offers.keys()].sort((a, b) => (a < b ? -1 : 1)).join(', ')
      return await reply
        .code(404)
        .send({ error: `nothing is offered here; ${known === '' ? 'no adapter offers anything' : `try ${known}`}` })
    }
    try {
      const bodies = await Promise.all(found.map(async ({ render }) => partsOf(await render())))
      const pieces = piecesOf(joinParts(bodies))
      const compressed = request.method === 'GET' && takesGzip(request.headers['accept-encoding'])
      void reply.type(first.contentType).header('vary', 'accept-encoding')
      if (compressed) return await reply.header('content-encoding', 'gzip').send(gzipped(pieces))
      const chars = pieces.reduce((sum, piece) => sum + piece.length, 0)
      if (chars <= MAX_WHOLE_CHARS) return await reply.send(pieces.join(''))
      return await reply.send(Readable.from(paced(pieces)))
    } catch (error) {
      log.warn({ path, err: error }, 'an adapter could not render what it offers')
      return await reply.code(503).send({ error: 'not available now; the log says why' })
    }
  })
  return {
    expose(path, contentType, render, handler) {
      const at = offers.get(path) ?? new Latest<Offer>()
      offers.set(path, at)
      const end = at.offer(handler, { contentType, render })
      return () => {
        end()
        if (at.values().length === 0 && offers.get(path) === at) offers.delete(path)
      }
    },
    async listen({ host, port }) {
      await app.listen({ host, port })
      const bound = app.server.address()
      return `${host}:${bound === null || typeof bound === 'string' ? port : bound.port}`
    },
    async close() {
      await app.close()
    },
  }
}

/** Pieces with pauses: a socket that takes all at once would have all encoded at once. */
async function* paced(pieces: readonly string[]): AsyncGenerator<string> {
  let chars = 0
  for (const piece of pieces) {
    chars += piece.length
    if (chars > MAX_CHARS_AT_ONCE) {
      await setImmediate()
      chars = 0
    }
    yield piece
  }
}

/** Compressed off the main thread, at the level that costs least: texts of metrics shrink well at any. */
function gzipped(pieces: readonly string[]): Readable {
  const gzip = createGzip({ level: constants.Z_BEST_SPEED })
  // The response ends with the stream; what went wrong with a peer that is gone is nobody's business.
  pipeline(Readable.from(paced(pieces)), gzip, () => undefined)
  return gzip
}

function takesGzip(header: string | string[] | undefined): boolean {
  return String(header ?? '')
    .split(',')
    .some((coding) => /^\s*(gzip|\*)\s*(;\s*q=(1|0\.\d*[1-9]))?/i.test(coding) && !/;\s*q=0(\.0*)?\s*$/i.test(coding))
}
