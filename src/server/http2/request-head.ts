// What the headers of a request say: which call it is, or why it is none. One header block is always read into the same.

import { readTimeout } from '../grpc-gate.ts'
import { GrpcFailure } from '../grpc-service.ts'
import { Code } from '../../kernel/status.ts'
import type { HeaderSink } from '../../wire/http2/hpack/decoder.ts'
import type { RefusalReason } from './refused-call.ts'
import { failureOnly, type HttpAnswer, httpAnswer, unreadableEncoding } from './replies.ts'
import type { Route } from './routes.ts'

/** How the messages of a call can be compressed. */
export type Encoding = 'identity' | 'gzip' | 'deflate'

interface Described {
  /** Bytes of the body as the headers say; -1 where they do not. */
  readonly contentLength: number
}

export interface CallHead extends Described {
  readonly kind: 'call'
  readonly route: Route
  /** How long the caller waits; `Infinity` where it does not say. */
  readonly timeoutMs: number
  readonly encoding: Encoding
}

/** No call of ours: `failure` answers in gRPC, `http` what is no gRPC. */
export interface RefusedHead extends Described {
  readonly kind: 'refused'
  readonly reason: RefusalReason
  readonly answer: { readonly failure: Buffer } | { readonly http: HttpAnswer; readonly bodiless: boolean }
}

/** Against HTTP/2 (RFC 9113, section 8): the stream ends with PROTOCOL_ERROR. */
interface MalformedHead {
  readonly kind: 'malformed'
}

export type RequestHead = CallHead | RefusedHead | MalformedHead

const MALFORMED: MalformedHead = { kind: 'malformed' }
const NOT_POST = httpAnswer(405, 'gRPC calls are POST requests.', [['allow', 'POST']])
const NOT_GRPC = httpAnswer(415, 'Only gRPC is spoken here: content-type must be application/grpc.')
const TOO_LARGE = httpAnswer(431, 'The headers are too large.')

const GRPC_TYPE = /^application\/grpc(?:[+;]|$)/i
/** Of HTTP/1's connections (section 8.2.2). */
const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
])
const MAX_SHOWN_PATH = 200

/** Reads one block after another; `decode` it into this, then `finish`. */
export class HeadReader implements HeaderSink {
  readonly #routes: ReadonlyMap<string, Route>
  #malformed = false
  #inFields = false
  #method: string | undefined
  #path: string | undefined
  #scheme: string | undefined
  #authority: string | undefined
  #type = ''
  #timeout: string | undefined
  #encoding = 'identity'
  #contentLength = -1

  constructor(routes: ReadonlyMap<string, Route>) {
    this.#routes = routes
  }

  begin(): void {
    this.#malformed = false
    this.#inFields = false
    this.#method = undefined
    this.#path = undefined
    this.#scheme = undefined
    this.#authority = undefined
    this.#type = ''
    this.#timeout = undefined
    this.#encoding = 'identity'
    this.#contentLength = -1
  }

  field(name: string, value: string, malformed: boolean): void {
    if (malformed) this.#malformed = true
    if (name.charCodeAt(0) === 0x3a) return this.#pseudo(name, value)
    this.#inFields = true
    if (CONNECTION_FIELDS.has(name)) this.#malformed = true
    switch (name) {
      case 'te':
        if (value !== 'trailers') this.#malformed = true
        break
      case 'content-type':
        this.#type = value
        break
      case 'grpc-timeout':
        this.#timeout = value
        break
      case 'grpc-encoding':
        this.#encoding = value
        break
      case 'content-length':
        this.#length(value)
        break
    }
  }

  /** What the block of a request says. `whole` is false where it was larger than allowed and not all of it was told. */
  finish(whole: boolean): RequestHead {
    const method = this.#method
    if (this.#malformed || (whole && !this.#complete())) return MALFORMED
    if (!whole) return this.#answered('headers', TOO_LARGE)
    if (method !== 'POST') return this.#answered('http', NOT_POST)
    if (!GRPC_TYPE.test(this.#type)) return this.#answered('http', NOT_GRPC)
    return this.#call(this.#path ?? '')
  }

  /** Whether the block is one of trailers: those have no pseudo-header fields (section 8.1). */
  finishTrailers(): boolean {
    const pseudo = this.#method ?? this.#path ?? this.#scheme ?? this.#authority
    return !this.#malformed && pseudo === undefined
  }

  /** Each of them once, before all fields (section 8.3). */
  #pseudo(name: string, value: string): void {
    let before: string | undefined
    switch (name) {
      case ':method':
        before = this.#method
        this.#method = value
        break
      case ':path':
        before = this.#path
        this.#path = value
        break
      case ':scheme':
        before = this.#scheme
        this.#scheme = value
        break
      case ':authority':
        before = this.#authority
        this.#authority = value
        break
      default:
        this.#malformed = true
    }
    if (before !== undefined || this.#inFields) this.#malformed = true
  }

  #complete(): boolean {
    if (this.#method === undefined) return false
    if (this.#method === 'CONNECT') return this.#scheme === undefined && this.#path === undefined
    return this.#scheme !== undefined && this.#path !== undefined && this.#path !== ''
  }

  #length(value: string): void {
    const length = /^\d{1,15}$/.test(value) ? Number(value) : -1
    if (length < 0 || (this.#contentLength >= 0 && this.#contentLength !== length)) this.#malformed = true
    this.#contentLength = length
  }

  #call(path: string): RequestHead {
    const route = this.#routes.get(path)
    const timeoutMs = this.#timeout === undefined ? Number.POSITIVE_INFINITY : readTimeout(this.#timeout)
    const encoding = this.#encoding
    if (route === undefined) {
      const shown = path.slice(0, MAX_SHOWN_PATH)
      return this.#failed('method', failureOnly(new GrpcFailure(Code.UNIMPLEMENTED, `no method ${shown} here`)))
    }
    if (timeoutMs === undefined)
      return this.#failed(
        'timeout',
        failureOnly(new GrpcFailure(Code.INTERNAL, 'grpc-timeout is not 1 to 8 digits and a unit')),
      )
    if (encoding !== 'identity' && encoding !== 'gzip' && encoding !== 'deflate')
      return this.#failed(
        'encoding',
        unreadableEncoding(new GrpcFailure(Code.UNIMPLEMENTED, `grpc-encoding ${encoding.slice(0, 40)} is not known`)),
      )
    return { kind: 'call', route, timeoutMs, encoding, contentLength: this.#contentLength }
  }

  #failed(reason: RefusalReason, failure: Buffer): RefusedHead {
    return { kind: 'refused', reason, answer: { failure }, contentLength: this.#contentLength }
  }

  #answered(reason: RefusalReason, http: HttpAnswer): RefusedHead {
    const bodiless = this.#method === 'HEAD'
    return { kind: 'refused', reason, answer: { http, bodiless }, contentLength: this.#contentLength }
  }
}
