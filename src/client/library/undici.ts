// Checks and reports the calls that a program makes with undici, or with fetch over one of its dispatchers:
// `new Agent().compose(intermix({ client }))`.

import { stringify } from 'node:querystring'
import type { Dispatcher } from 'undici'
import type { Denial } from '../../kernel/denial.ts'
import { IntermixError } from '../../kernel/errors.ts'
import type { HeaderOperation } from '../../kernel/header-operation.ts'
import { httpHeaderValue, isCopyableHeader } from '../../kernel/header-value.ts'
import { Guard, type GuardOptions, type Judgement } from './guard.ts'
import { type ChangeableHeaders, changeHeaders } from './http/header-changes.ts'
import { carryTrace, type GivenLines, type HeaderLines, linesOf, OutgoingCall } from './http/outgoing-call.ts'
import { currentTrace } from './trace-context.ts'

export type { GuardOptions } from './guard.ts'

type Options = Dispatcher.DispatchOptions
type Handler = Dispatcher.DispatchHandler
type Controller = Dispatcher.DispatchController
type Headers = Parameters<NonNullable<Handler['onResponseStart']>>[2]

export interface UndiciOptions extends GuardOptions<Options> {
  /**
   * Whether calls carry on the W3C trace context of the request for which they are made, where they have none; they do unless
   * told. Not for programs whose tracer does it, too.
   */
  readonly trace?: boolean
}

/**
 * An interceptor for undici 7 and later: each call is checked before it is made. One that is denied gets the denial as its
 * response, and its server never hears of it.
 */
export function intermix(options: UndiciOptions): Dispatcher.DispatcherComposeInterceptor {
  const guard = new Guard<Options>(options)
  const { trace = true, skip } = options
  return (dispatch) => (given, handler) => {
    refuseOldHandler(handler)
    if (skip?.(given) === true) return dispatch(given, handler)
    const lines = linesOf(given.headers as GivenLines)
    const isTraced = trace && carryTrace(lines, currentTrace())
    const path = pathOf(given)
    const { method, origin } = given
    const call = new OutgoingCall(guard, given, { method, path, origin, lines })
    const proceed = (judgement: Judgement): boolean => {
      if (!judgement.allowed) return giveDenial(judgement.denial, handler, call)
      const { requestHeaders = [], responseHeaders = [] } = judgement.result ?? {}
      changeHeaders(ofLines(lines), requestHeaders)
      const isChanged = isTraced || requestHeaders.length > 0
      const { query: _, ...asSent } = given
      const changed = { ...asSent, path, ...(isChanged ? { headers: Object.fromEntries(lines) } : {}) }
      return dispatch(changed, watched(handler, call, responseHeaders))
    }
    const judgement = call.judge()
    if (!(judgement instanceof Promise)) return proceed(judgement)
    judgement
      .then(proceed)
      .catch((caught: unknown) => handler.onResponseError?.(NOTHING_SENT, IntermixError.from(caught)))
    return true
  }
}

/**
 * A fetch of an older undici, such as Node's own may be, listens by methods that the present one calls no more: it would wait
 * for ever.
 */
function refuseOldHandler(handler: Handler): void {
  if (typeof handler.onRequestStart === 'function') return
  throw new IntermixError(
    'INVALID_REQUEST',
    'this fetch is of another version of undici than its dispatcher: take the fetch of the package undici',
  )
}

/** As undici writes it: what is checked is what is sent. */
function pathOf({ path, query }: Options): string {
  const text = query === undefined || query === null ? '' : stringify(query)
  return text === '' ? path : `${path}?${text}`
}

/** A handler that has the response reported, and its headers changed. */
function watched(handler: Handler, call: OutgoingCall<Options>, operations: readonly HeaderOperation[]): Handler {
  const answered: { code: number; headers: Headers } = { code: 0, headers: {} }
  return {
    onRequestStart: (controller, context) => handler.onRequestStart?.(controller, context),
    onRequestUpgrade(controller, code, headers, socket) {
      call.report({ code, headers })
      handler.onRequestUpgrade?.(controller, code, headers, socket)
    },
    onResponseStart(controller, code, headers, message) {
      Object.assign(answered, { code, headers })
      if (operations.length > 0 && code >= 200) changeResponse(controller, headers, operations)
      handler.onResponseStart?.(controller, code, headers, message)
    },
    onResponseData: (controller, chunk) => handler.onResponseData?.(controller, chunk),
    onResponseEnd(controller, trailers) {
      call.report(answered)
      handler.onResponseEnd?.(controller, trailers)
    },
    onResponseError(controller, error) {
      // Of a call that was never answered nobody knows a code.
      call.report(answered)
      handler.onResponseError?.(controller, error)
    },
    onResponseStarted: () => handler.onResponseStarted?.(),
    onBodySent: (chunk) => handler.onBodySent?.(chunk),
    onRequestSent: () => handler.onRequestSent?.(),
  }
}

function changeResponse(controller: Controller, headers: Headers, operations: readonly HeaderOperation[]): void {
  changeHeaders(
    {
      get: (name) => headers[name],
      set: (name, value) => void (headers[name] = value),
      remove: (name) => void delete headers[name],
    },
    operations,
  )
  controller.rawHeaders = rawOf(headers)
}

/** fetch reads these. */
function rawOf(headers: Headers): Buffer[] {
  return Object.entries(headers).flatMap(([name, value = []]) =>
    (typeof value === 'string' ? [value] : value).flatMap((line) => [Buffer.from(name), Buffer.from(line, 'latin1')]),
  )
}

function giveDenial(denial: Denial, handler: Handler, call: OutgoingCall<Options>): boolean {
  const { httpStatus, body } = denial
  const bytes = Buffer.from(body)
  const headers: Headers = { 'content-type': 'text/plain; charset=utf-8', 'content-length': String(bytes.length) }
  for (const [name, value] of denial.headers) if (isCopyableHeader(name)) headers[name] = httpHeaderValue(value)
  const controller = new UnsentCall(rawOf(headers))
  call.report({ code: httpStatus, headers })
  try {
    handler.onRequestStart?.(controller, null)
    if (!controller.aborted) handler.onResponseStart?.(controller, httpStatus, headers, '')
    if (!controller.aborted && bytes.length > 0) handler.onResponseData?.(controller, bytes)
    if (!controller.aborted) handler.onResponseEnd?.(controller, {})
    else if (controller.reason !== null) handler.onResponseError?.(controller, controller.reason)
  } catch (caught) {
    handler.onResponseError?.(controller, IntermixError.from(caught))
  }
  return true
}

/** What a handler can do with a call that was never made. */
class UnsentCall implements Controller {
  readonly paused = false
  readonly rawHeaders: Buffer[]
  #reason: Error | null = null

  constructor(rawHeaders: Buffer[]) {
    this.rawHeaders = rawHeaders
  }

  get aborted(): boolean {
    return this.#reason !== null
  }

  get reason(): Error | null {
    return this.#reason
  }

  abort(reason: Error): void {
    this.#reason ??= reason
  }

  pause(): void {}

  resume(): void {}
}

const NOTHING_SENT = new UnsentCall([])

function ofLines(lines: HeaderLines): ChangeableHeaders {
  return {
    get: (name) => lines.get(name),
    set: (name, value) => void lines.set(name, typeof value === 'string' ? [value] : value),
    remove: (name) => void lines.delete(name),
  }
}
