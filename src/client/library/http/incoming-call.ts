// One request on its way through a server: checked when it comes, reported when it is answered.

import type { IncomingMessage } from 'node:http'
import type { HeaderOperation } from '../../../kernel/header-operation.ts'
import type { HttpRequest } from '../../../wire/http-request.ts'
import type { Guard, Judgement } from '../guard.ts'
import { GuardedCall } from '../guarded-call.ts'
import { type TraceContext, traceOf, withTrace } from '../trace-context.ts'
import { changeRequest } from './header-changes.ts'
import { type IncomingRequest, incomingRequest, type Response, responseAttributes, sizeOf } from './incoming.ts'

const NONE: readonly HeaderOperation[] = []
/** Of a request whose headers cannot be read. */
const NO_HEADERS: ReadonlyMap<string, string> = new Map()

export class IncomingCall<C> {
  readonly #call: GuardedCall<C>
  readonly #given: IncomingRequest
  readonly #trace: TraceContext | undefined

  constructor(guard: Guard<C>, call: C, given: IncomingRequest) {
    this.#given = given
    this.#call = new GuardedCall(guard, call, { request: () => incomingRequest(given), direction: 'inbound' })
    this.#trace = traceOf((name) => oneOf(given.message.headers[name]))
  }

  /** What is to be done to the headers of the response. */
  get responseHeaders(): readonly HeaderOperation[] {
    return this.#call.judgement?.result?.responseHeaders ?? NONE
  }

  /** Checks the request; where it is allowed, its headers are changed as policy wants it. */
  judge(done: (judgement: Judgement) => void): void {
    const judged = (is: Judgement) => {
      if (is.allowed && is.result !== undefined) changeRequest(this.#given.message, is.result.requestHeaders)
      done(is)
    }
    const judgement = this.#call.judge()
    if (judgement instanceof Promise) void judgement.then(judged)
    else judged(judgement)
  }

  /** Goes on with the request: what it calls carries its trace on. */
  proceed(next: () => void): void {
    withTrace(this.#trace, next)
  }

  report(response: Response): void {
    const size = sizeOf(this.#given.message.headers['content-length'])
    this.#call.report((over) => responseAttributes(response, over, size), headless(this.#given))
  }
}

function headless({ message, target, host, scheme }: IncomingRequest): HttpRequest {
  return { method: message.method, path: target, host, scheme, clientIp: undefined, headers: NO_HEADERS }
}

function oneOf(header: IncomingMessage['headers'][string]): string | undefined {
  return Array.isArray(header) ? header[0] : header
}
