// Checks and reports the requests of an express app, or of any other that takes middlewares of this form:
// `app.use(intermix({ client }))`.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { httpHeaderValue, isCopyableHeader } from '../../kernel/header-value.ts'
import { Guard, type GuardOptions, type Judgement } from './guard.ts'
import { changeHeaders } from './http/header-changes.ts'
import { IncomingCall } from './http/incoming-call.ts'

export type { GuardOptions } from './guard.ts'

/** A request with what express 5 adds: it knows which proxies to believe (`trust proxy`). */
export interface Request extends IncomingMessage {
  readonly originalUrl?: string
  readonly host?: string
  readonly protocol?: string
  readonly ip?: string | undefined
}

/** A middleware: each request that comes to it is checked, and reported when it was answered. */
export function intermix<R extends Request>(
  options: GuardOptions<R>,
): (request: R, response: ServerResponse, next: (error?: unknown) => void) => void {
  const guard = new Guard(options)
  return (request, response, next) => {
    if (options.skip?.(request) === true) return next()
    const { originalUrl, url = '/', host = request.headers.host, socket } = request
    const { protocol = (socket as Partial<TLSSocket>).encrypted === true ? 'https' : 'http' } = request
    const client = request.ip ?? socket.remoteAddress
    const call = new IncomingCall(guard, request, {
      message: request,
      target: originalUrl ?? url,
      host,
      scheme: protocol,
      client,
    })
    response.once('close', () => call.report({ code: response.statusCode, headers: response.getHeaders() }))
    onHeaders(response, () => changeHeaders(headersOf(response), call.responseHeaders))
    call.judge((judgement) => (judgement.allowed ? call.proceed(next) : deny(response, judgement)))
  }
}

function deny(response: ServerResponse, { denial }: Extract<Judgement, { readonly allowed: false }>): void {
  response.statusCode = denial.httpStatus
  response.setHeader('content-type', 'text/plain; charset=utf-8')
  for (const [name, value] of denial.headers)
    if (isCopyableHeader(name)) response.setHeader(name, httpHeaderValue(value))
  response.end(denial.body)
}

/** Calls back once, before the headers are written. Those that are given to `writeHead` are set before. */
function onHeaders(response: ServerResponse, callback: () => void): void {
  const writeHead = response.writeHead.bind(response)
  response.writeHead = (status: number, ...rest: unknown[]) => {
    response.writeHead = writeHead
    const [first, second] = rest
    const [reason, headers] = typeof first === 'string' ? [first, second] : [undefined, first]
    setAll(response, headers)
    callback()
    return reason === undefined ? writeHead(status) : writeHead(status, reason)
  }
}

function setAll(response: ServerResponse, headers: unknown): void {
  if (Array.isArray(headers)) {
    const flat = headers.flat() as string[]
    for (let at = 0; at < flat.length; at += 2) response.removeHeader(flat[at] ?? '')
    for (let at = 0; at < flat.length; at += 2) response.appendHeader(flat[at] ?? '', flat[at + 1] ?? '')
  } else if (typeof headers === 'object' && headers !== null) {
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined) response.setHeader(name, value as string | number | readonly string[])
    }
  }
}

function headersOf(response: ServerResponse) {
  return {
    get(name: string) {
      const value = response.getHeader(name)
      return typeof value === 'number' ? String(value) : value
    },
    set: (name: string, value: string | string[]) => void response.setHeader(name, value),
    remove: (name: string) => response.removeHeader(name),
  }
}
