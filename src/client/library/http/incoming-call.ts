// One request on its way through a server: checked when it comes, reported when it is answered.

import type { IncomingMessage } from 'node:http'
import type { HeaderOperation } from '../../../kernel/header-operation.ts'
import { type HttpRequest, httpRequestBag } from '../../../wire/http-request.ts'
import type { Guard, Judgement } from '../guard.ts'
import { type TraceContext, traceOf, withTrace } from '../trace-context.ts'
import { changeRequest } from './header-changes.ts'
import { type IncomingRequest, incomingRequest, type Response, responseAttributes, sizeOf } from './incoming.ts'

const NONE: readonly HeaderOperation[] = []
/** Of a request whose headers cannot be read. */
const NO_HEADERS: ReadonlyMap<string, string> = new Map()

export class IncomingCall<C> {
  readonly #guard: Guard<C>
  readonly #call: C
  readonly #given: IncomingRequest
  readonly #startedAt: number
  readonly #began: number
  readonly #trace: TraceContext | undefined
  #request: HttpRequest | undefined
  #judgement: Judgement | undefined

  constructor(guard: Guard<C>, call: C, given: IncomingRequest) {
    this.#guard = guard
    this.#call = call
    this.#given = given
    const { clock } = guard.options.client
    this.#startedAt = clock.now()
    this.#began = clock.monotonic()
    this.#trace = traceOf((name) => oneOf(given.message.headers[name]))
  }

  /** What is to be done to the headers of the response. */
  get responseHeaders(): readonly HeaderOperation[] {
    return this.#judgement?.result?.responseHeaders ?? NONE
  }

  /** Checks the request; where it is allowed, its headers are changed as policy wants it. */
  judge(done: (judgement: Judgement) => void): void {
    const judgement = this.#guard.judge(this.#call, (set) => {
      this.#request ??= incomingRequest(this.#given)
      return httpRequestBag(this.#request, this.#startedAt, set)
    })
    const judged = (is: Judgement) => {
      this.#judgement = is
      if (is.allowed && is.result !== undefined) changeRequest(this.#given.message, is.result.requestHeaders)
      done(is)
    }
    if (judgement instanceof Promise) void judgement.then(judged)
    else judged(judgement)
  }

  /** Goes on with the request: what it calls carries its trace on. */
  proceed(next: () => void): void {
    withTrace(this.#trace, next)
  }

  report(response: Pick<Response, 'code' | 'headers'>): void {
    this.#guard.report(this.#call, (set) => {
      const durationMs = this.#guard.options.client.clock.monotonic() - this.#began
      const answered = { ...response, startedAt: this.#startedAt, durationMs, judgement: this.#judgement }
      const all = responseAttributes(answered)
      all.set('request.size', sizeOf(this.#given.message.headers['content-length']))
      for (const [name, value] of set ?? []) all.set(name, value)
      return httpRequestBag(this.#request ?? headless(this.#given), this.#startedAt, all)
    })
  }
}

function headless({ message, target, host, scheme }: IncomingRequest): HttpRequest {
  return { method: message.method, path: target, host, scheme, clientIp: undefined, headers: NO_HEADERS }
}

function oneOf(header: IncomingMessage['headers'][string]): string | undefined {
  return Array.isArray(header) ? header[0] : header
}
