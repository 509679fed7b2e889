// One request that a program makes: checked before it is sent, reported when it is answered.

import type { Guard, Judgement } from '../guard.ts'
import { GuardedCall } from '../guarded-call.ts'
import { addField } from '../../../wire/header-map.ts'
import { completeHeaders, type HttpRequest } from '../../../wire/http-request.ts'
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
  readonly #call: GuardedCall<C>
  readonly #target: OutgoingTarget

  constructor(guard: Guard<C>, call: C, target: OutgoingTarget) {
    this.#target = target
    this.#call = new GuardedCall(guard, call, { request: () => outgoingRequest(target), direction: 'outbound' })
  }

  judge(): Judgement | Promise<Judgement> {
    return this.#call.judge()
  }

  report(response: Response): void {
    const size = sizeOf(this.#target.lines.get('content-length'))
    this.#call.report((over) => responseAttributes(response, over, size))
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
