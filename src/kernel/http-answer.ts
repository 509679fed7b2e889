// Requests and answers of our HTTP servers, whether they are served on Fastify or on Node's own server.

import type { IncomingMessage, ServerResponse } from 'node:http'

/** A response, but for what says how long it is. */
export interface HttpAnswer {
  readonly status: number
  /** Names in lower case and values in turns; names of several lines come several times. */
  readonly headers: readonly (string | number)[]
  readonly body: string
}

export const JSON_TYPE = 'application/json; charset=utf-8'

/** The headers of an answer, one of each name; several lines of `set-cookie`, whoever sets them. */
export class AnswerHeaders {
  readonly #values = new Map<string, string | number | readonly string[]>()

  set(name: string, value: string | number | readonly string[]): void {
    const key = name.toLowerCase()
    const before = key === 'set-cookie' ? this.#values.get(key) : undefined
    this.#values.set(key, before === undefined ? value : [before, value].flat().map(String))
  }

  /** As an answer has them. */
  list(): (string | number)[] {
    return [...this.#values].flatMap(([name, value]) =>
      typeof value === 'object' ? value.flatMap((line) => [name, line]) : [name, value],
    )
  }
}

/** Idle connections are kept for as long as proxies keep them: whoever closes first loses requests. */
export const KEEP_ALIVE_MS = 72_000

/** An answer in JSON. */
export function jsonAnswer(status: number, json: unknown): HttpAnswer {
  return { status, headers: ['content-type', JSON_TYPE], body: JSON.stringify(json) }
}

/** Statuses whose responses have no body (RFC 9110, section 6.4.1). */
export const WITHOUT_BODY: ReadonlySet<number> = new Set([204, 304])

export function sendAnswer(response: ServerResponse, { status, headers, body }: HttpAnswer): void {
  if (WITHOUT_BODY.has(status)) {
    response.writeHead(status, headers as string[])
    response.end()
    return
  }
  response.writeHead(status, [...headers, 'content-length', Buffer.byteLength(body)] as string[])
  // As text it goes out in one write with the head.
  response.end(body)
}

/** Hands on the whole body, or `undefined` where it is longer than allowed: at once where its head says so. */
export function receiveBody(
  request: IncomingMessage,
  maxBytes: number,
  take: (body: Buffer | undefined) => void,
): void {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return take(undefined)
  let first: Buffer | undefined
  let more: Buffer[] | undefined
  let length = 0
  request.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length > maxBytes) return
    if (first === undefined) first = chunk
    else (more ??= [first]).push(chunk)
  })
  // Where the connection ends before, there is nobody to answer.
  request.on('end', () => {
    if (length > maxBytes) take(undefined)
    else take(more === undefined ? (first ?? Buffer.alloc(0)) : Buffer.concat(more, length))
  })
}

/** The path of a request's target (RFC 9112, section 3.2) without its query; `undefined` where what is escaped in it cannot be read. */
export function pathOf(target: string): string | undefined {
  const end = target.search(/[?#]/)
  const sent = end < 0 ? target : target.slice(0, end)
  const path = sent.startsWith('/') ? sent : sent.replace(/^https?:\/\/[^/]*/i, '')
  if (!path.includes('%')) return path
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}
