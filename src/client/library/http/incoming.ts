// A request that a Node server has got, as attributes: as forward-auth reads them from a proxy.

import type { IncomingMessage } from 'node:http'
import { foldV4, parseIp } from '../../../kernel/ip-address.ts'
import { Duration, Timestamp } from '../../../kernel/time.ts'
import type { AttributeValue } from '../../../kernel/value.ts'
import { addField, nodeFieldText } from '../../../wire/header-map.ts'
import { completeHeaders, type HttpRequest } from '../../../wire/http-request.ts'
import { FORWARDED_ATTRIBUTES_HEADER } from '../../../wire/request-headers.ts'
import type { Over } from '../guarded-call.ts'

/** A request with what the server knows better than the message, since it knows which proxies to believe. */
export interface IncomingRequest {
  readonly message: IncomingMessage
  /** The target of the request line, as it came. */
  readonly target: string
  readonly host: string | undefined
  readonly scheme: string
  /** Address of the client, as text. */
  readonly client: string | undefined
}

/** @throws RefusedRequest `repeated`, `ill-formed` */
export function incomingRequest({ message, target, host, scheme, client }: IncomingRequest): HttpRequest {
  const clientIp = client === undefined ? undefined : ipOf(client)
  const request = { method: message.method, path: target, host, scheme, clientIp }
  return { ...request, headers: completeHeaders(headersOf(message.rawHeaders), request) }
}

/** How a request was answered. */
export interface Response {
  readonly code: number
  readonly headers: NodeJS.Dict<number | string | readonly string[]>
}

/** The attributes of a response, as access logs have them. @param requestSize of its body, where it says so */
export function responseAttributes(
  { code, headers }: Response,
  { startedAt, durationMs, judgement }: Over,
  requestSize: bigint | undefined,
): Map<string, AttributeValue | undefined> {
  const attributes = new Map<string, AttributeValue | undefined>([
    ['request.size', requestSize],
    ['response.code', BigInt(code)],
    ['response.duration', Duration.fromMillis(durationMs)],
    ['response.time', Timestamp.fromMillis(startedAt + durationMs)],
    ['response.headers', textsOf(headers)],
    ['response.size', sizeOf(headers['content-length'])],
  ])
  if (judgement?.allowed === false) {
    attributes.set('check.error_code', BigInt(judgement.status.code))
    attributes.set('check.error_message', judgement.status.message)
  }
  return attributes
}

/** Of what a `content-length` says; `undefined` where there is none. */
export function sizeOf(length: number | string | readonly string[] | undefined): bigint | undefined {
  const text = String(length ?? '')
  return /^\d{1,18}$/.test(text) ? BigInt(text) : undefined
}

function textsOf(headers: Response['headers']): Map<string, string> {
  const texts = new Map<string, string>()
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) texts.set(name.toLowerCase(), Array.isArray(value) ? value.join(', ') : String(value))
  }
  return texts
}

function headersOf(rawHeaders: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>()
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? '').toLowerCase()
    if (name === FORWARDED_ATTRIBUTES_HEADER || name.startsWith(':')) continue
    addField(headers, name, nodeFieldText(name, rawHeaders[at + 1] ?? ''))
  }
  return headers
}

/** Without its zone; IPv4 in its own form. */
export function ipOf(text: string): Uint8Array | undefined {
  const ip = parseIp(text.split('%', 1)[0] ?? '')
  return ip === undefined ? undefined : foldV4(ip)
}
