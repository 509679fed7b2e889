// One request that a program makes: checked before it is sent, reported when it is answered.

import type { Guard, Judgement } from '../guard.ts'
import { addField } from '../../../wire/header-map.ts'
import { completeHeaders, type HttpRequest, httpRequestBag } from '../../../wire/http-request.ts'
import type { TraceContext } from '../trace-context.ts'
import { type Response, responseAttributes, sizeOf } from './incoming.ts'

/** Header lines by names in lower case. */
export type HeaderLines = Map<string, string[]>

/** Header lines as HTTP clients take them: in turns, as an object, or as pairs. */
export type GivenLines =
  | readonly string[]
  | Readonly<NodeJS.Dict<number | string | readonly string[]>>
  | Iterable<[string, string | readonly string[] | undefined]>
  | null
  | undefined

export interface OutgoingTarget {
  readonly method: string
  /** With its query, as it is sent. */
  readonly path: string
  readonly origin: string | URL | undefined
  readonly lines: HeaderLines
}

export class OutgoingCall<C> {
  readonly #guard: Guard<C>
  readonly #call: C
  readonly #target: OutgoingTarget
  readonly #startedAt: number
  readonly #began: number
  #request: HttpRequest | undefined
  #judgement: Judgement | undefined

  constructor(guard: Guard<C>, call: C, target: OutgoingTarget) {
    this.#guard = guard
    this.#call = call
    this.#target = target
    const { clock } = guard.options.client
    this.#startedAt = clock.now()
    this.#began = clock.monotonic()
  }

  judge(): Judgement | Promise<Judgement> {
    const judgement = this.#guard.judge(this.#call, (set) => {
      this.#request ??= outgoingRequest(this.#target)
      return httpRequestBag(this.#request, this.#startedAt, set, 'outbound')
    })
    if (judgement instanceof Promise) return judgement.then((is) => this.#judged(is))
    return this.#judged(judgement)
  }

  report(response: Pick<Response, 'code' | 'headers'>): void {
    const request = this.#request
    if (request === undefined) return
    this.#guard.report(this.#call, (set) => {
      const durationMs = this.#guard.options.client.clock.monotonic() - this.#began
      const all = responseAttributes({
        ...response,
        startedAt: this.#startedAt,
        durationMs,
        judgement: this.#judgement,
      })
      all.set('request.size', sizeOf(this.#target.lines.get('content-length')))
      for (const [name, value] of set ?? []) all.set(name, value)
      return httpRequestBag(request, this.#startedAt, all, 'outbound')
    })
  }

  #judged(judgement: Judgement): Judgement {
    this.#judgement = judgement
    return judgement
  }
}

export function linesOf(given: GivenLines): HeaderLines {
  const lines: HeaderLines = new Map()
  const add = (name: string, value: number | string | readonly string[] | null | undefined) => {
    if (value === undefined || value === null) return
    const key = name.toLowerCase()
    lines.set(key, [...(lines.get(key) ?? []), ...(typeof value === 'object' ? value : [String(value)])])
  }
  if (given === undefined || given === null) return lines
  if (Array.isArray(given) && typeof given[0] !== 'object') {
    const flat = given as readonly string[]
    for (let at = 0; at < flat.length; at += 2) add(flat[at] ?? '', flat[at + 1])
  } else if (Symbol.iterator in given) {
    for (const [name, value] of given as Iterable<[string, string | readonly string[] | undefined]>) add(name, value)
  } else for (const [name, value] of Object.entries(given)) add(name, value)
  return lines
}

/** Adds a trace context to lines that have none. @returns whether it did */
export function carryTrace(lines: HeaderLines, trace: TraceContext | undefined): boolean {
  if (trace === undefined || lines.has('traceparent')) return false
  lines.set('traceparent', [trace.traceparent])
  if (trace.tracestate !== undefined) lines.set('tracestate', [trace.tracestate])
  return true
}

/** @throws RefusedRequest `repeated` */
function outgoingRequest({ method, path, origin, lines }: OutgoingTarget): HttpRequest {
  const headers = new Map<string, string>()
  for (const [name, values] of lines) for (const value of values) addField(headers, name, value)
  const url = origin === undefined ? undefined : new URL(origin)
  const request = {
    method,
    path,
    host: headers.get('host') ?? url?.host,
    scheme: url?.protocol.replace(':', ''),
    clientIp: undefined,
  }
  return { ...request, headers: completeHeaders(headers, request) }
}
