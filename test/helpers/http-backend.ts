// A small real HTTP server that counts what it is asked: the upstream behind a proxy, or a policy backend.
import { createServer, type IncomingHttpHeaders } from 'node:http'

/** A request as the backend saw it. */
export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** Name, value, name, … as they came. */
  readonly rawHeaders: readonly string[]
  readonly body: string
}

export interface BackendAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface HttpBackend {
  readonly port: number
  /** `http://127.0.0.1:<port>` */
  readonly url: string
  /** Number of requests so far. */
  readonly count: number
  /** The last 1,000 requests, oldest first. */
  readonly requests: readonly SeenRequest[]
  /** Changes what is answered from now on. */
  answerWith(answer: (request: SeenRequest) => BackendAnswer | Promise<BackendAnswer>): void
  close(): Promise<void>
}

const KEPT = 1_000

/** Starts a backend on a free port of 127.0.0.1 that answers 200 `ok` unless told otherwise. */
export async function startHttpBackend(
  initial: (request: SeenRequest) => BackendAnswer | Promise<BackendAnswer> = () => ({ status: 200, body: 'ok' }),
): Promise<HttpBackend> {
  let answer = initial
  let count = 0
  const requests: SeenRequest[] = []
  // More than proxies pass, so that what is refused is refused by them or by a node.
  const server = createServer({ maxHeaderSize: 256 * 1024 }, (incoming, outgoing) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const request: SeenRequest = {
        method: incoming.method ?? '',
        path: incoming.url ?? '',
        headers: incoming.headers,
        rawHeaders: incoming.rawHeaders,
        body: Buffer.concat(chunks).toString('utf8'),
      }
      count += 1
      requests.push(request)
      if (requests.length > KEPT) requests.shift()
      Promise.resolve(answer(request)).then(
        ({ status, headers, body }) => outgoing.writeHead(status, { ...headers }).end(body),
        () => outgoing.destroy(),
      )
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('an HTTP server without a port')
  return {
    port: address.port,
    url: `http://127.0.0.1:${address.port}`,
    get count() {
      return count
    },
    requests,
    answerWith(next) {
      answer = next
    },
    async close() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
