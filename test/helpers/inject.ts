// One request to an HTTP server of ours over a connection of its own, and the whole answer.

import { once } from 'node:events'
import { type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { HttpServer } from '../../src/server/http.ts'

export interface Injected {
  readonly method: string
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly payload?: string | Buffer | object
}

export interface Answered {
  readonly statusCode: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller says of which type it is
  json<T>(): T
}

/** Has the server listen at a free port where it does not yet. An object is sent as JSON. */
export async function inject(http: HttpServer, { method, url, headers = {}, payload }: Injected): Promise<Answered> {
  const { server } = http
  const port = server.listening
    ? (server.address() as AddressInfo).port
    : await http.listen({ host: '127.0.0.1', port: 0 })
  const request = httpRequest({ port, method, path: url, headers, agent: false })
  const plain = payload === undefined || typeof payload === 'string' || Buffer.isBuffer(payload)
  request.end(plain ? payload : JSON.stringify(payload))
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  const body = Buffer.concat(chunks).toString()
  return {
    statusCode: response.statusCode ?? 0,
    headers: response.headers,
    body,
    json: () => JSON.parse(body),
  }
}
