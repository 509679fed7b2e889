// Calls a node's HTTP API for the tools of the command line.

import { IntermixError } from '../kernel/errors.ts'
import { isJsonObject, type JsonObject } from '../kernel/json-object.ts'
import { parseJson } from '../kernel/parse-json.ts'
import type { CommandIo } from './io.ts'
import { connectionOptions, fetchOverTls, type NodeTls, TLS_OPTIONS, tlsFailure } from './node-tls.ts'
import { flagOf, type OptionTable, type OptionValues } from '../settings/options.ts'

const HOW = {
  timeoutMs: {
    kind: 'duration',
    default: 5_000,
    min: 1,
    max: 60_000,
    env: false,
    description: 'How long to wait for an answer.',
  },
  ...TLS_OPTIONS,
} as const satisfies OptionTable

/** The flags of every command that calls a node as its clients do. */
export const NODE_OPTIONS = {
  address: {
    kind: 'url',
    default: 'http://127.0.0.1:8080',
    description: "The node's HTTP API (its --http-address).",
  },
  ...HOW,
} as const satisfies OptionTable

/** The flags of every command that calls a node's admin port. */
export const ADMIN_OPTIONS = {
  admin: {
    kind: 'url',
    default: 'http://127.0.0.1:15014',
    description: "The node's admin port (its --admin-address).",
  },
  ...HOW,
} as const satisfies OptionTable

/** Who is asked, and how. */
export interface AskedNode extends NodeTls {
  /** Base URL without a trailing slash. */
  readonly address: string
  readonly timeoutMs: number
}

/** The node that the flags of a command name, by its admin port. */
export function adminOf({ admin: address, ...values }: OptionValues<typeof ADMIN_OPTIONS>): AskedNode {
  return nodeOf({ address, ...values })
}

/** The node that the flags of a command name, by its HTTP API. */
export function nodeOf(values: OptionValues<typeof NODE_OPTIONS>): AskedNode {
  const { address, timeoutMs, tlsCa, tlsCert, tlsKey, tlsName } = values
  return { address, timeoutMs, tlsCa, tlsCert, tlsKey, tlsName }
}

export interface NodeRequest extends AskedNode {
  readonly path: string
  /** Sent as JSON; without it nothing is sent, but asked for. */
  readonly body?: unknown
}

/** A JSON answer; `refused` says that the HTTP status was none of success. */
export interface NodeAnswer {
  readonly httpStatus: number
  readonly body: JsonObject
}

/**
 * POSTs JSON, or GETs where there is nothing to send.
 * @throws IntermixError BACKEND_FAILED when nothing or no JSON object comes back: a sentence for the person who asked;
 * INVALID_SETTING where the files for TLS cannot be used
 */
export async function callNode(io: CommandIo, request: NodeRequest): Promise<NodeAnswer> {
  const url = request.address + request.path
  const ask = await askerOf(io, request)
  let answered: Answered
  try {
    answered = await ask(url)
  } catch (error) {
    throw new IntermixError('BACKEND_FAILED', `no answer from ${url}: ${reasonOf(error, request)}`, { cause: error })
  }
  const { status: httpStatus, text } = answered
  const body = parse(text)
  if (isJsonObject(body)) return { httpStatus, body }
  if (text === '' && httpStatus < 300) return { httpStatus, body: {} }
  throw new IntermixError('BACKEND_FAILED', `${url} answered ${httpStatus} without JSON: is this an Intermix node?`)
}

interface Answered {
  readonly status: number
  readonly text: string
}

/** Over https with files of its own, for which what Node has of `fetch` takes none. */
async function askerOf(io: CommandIo, request: NodeRequest): Promise<(url: string) => Promise<Answered>> {
  const { address, body, timeoutMs } = request
  const sent = {
    method: body === undefined ? 'GET' : 'POST',
    headers: body === undefined ? {} : { 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(timeoutMs),
  }
  if (address.startsWith('https:')) {
    const options = await connectionOptions(request, io)
    return async (url) => await fetchOverTls(url, sent, options)
  }
  const { tlsCa, tlsCert, tlsKey, tlsName } = request
  const unused = Object.entries({ tlsCa, tlsCert, tlsKey, tlsName }).filter(([, value]) => value !== undefined)
  if (unused.length > 0) {
    const flags = unused.map(([key]) => flagOf(key)).join(', ')
    throw new IntermixError('INVALID_SETTING', `${flags}: ${address} is asked without TLS; give an https URL`)
  }
  return async (url) => {
    const { body: text, ...rest } = sent
    const response = await io.fetch(url, { ...rest, ...(text !== undefined && { body: text }) })
    return { status: response.status, text: await response.text() }
  }
}

/** What the admin port refused; a 404 is most likely no admin port's, or that of an Intermix before it had these. */
export function adminRefusalText(answer: NodeAnswer, admin: string): string {
  if (answer.httpStatus === 401) return `${refusalText(answer)}; show one by --tls-cert and --tls-key`
  if (answer.httpStatus !== 404 || isJsonObject(answer.body['error'])) return refusalText(answer)
  return `${refusalText(answer)}\n  is ${admin} the admin port (--admin) of a node of this version?`
}

/** What a refusal says: the message of its body, and its HTTP status. */
export function refusalText({ httpStatus, body }: NodeAnswer): string {
  const error = isJsonObject(body['error']) ? body['error'] : body
  const problems = Array.isArray(error['problems']) ? error['problems'].map(problemText) : []
  const message = typeof error['message'] === 'string' ? error['message'] : JSON.stringify(body)
  return [`the node refused (HTTP ${httpStatus}): ${message}`, ...problems.map((line) => `  ${line}`)].join('\n')
}

function problemText(problem: unknown): string {
  if (!isJsonObject(problem)) return String(problem)
  const { path, message } = problem
  const place = typeof path === 'string' && path !== '' ? `${path}: ` : ''
  return `${place}${typeof message === 'string' ? message : JSON.stringify(problem)}`
}

function parse(text: string): unknown {
  try {
    return parseJson(text)
  } catch {
    return undefined
  }
}

function reasonOf(error: unknown, { timeoutMs, address, ...tls }: NodeRequest): string {
  const isLate = [error, (error as { cause?: unknown }).cause].some(
    (each) => (each as Error | undefined)?.name === 'TimeoutError',
  )
  if (isLate) return `nothing within ${timeoutMs} ms (--timeout)`
  const cause = (error as { cause?: unknown }).cause
  const { code, message } = (cause ?? error) as NodeJS.ErrnoException
  if (code === 'ECONNREFUSED') return 'nothing listens there (--address or --admin says where the node is)'
  if (code === 'ENOTFOUND') return 'there is no such host'
  if (address.startsWith('http:') && (code === 'UND_ERR_SOCKET' || code === 'ECONNRESET'))
    return `${message}: does it speak TLS? Then its URL begins with https`
  const ofTls = tlsFailure((cause ?? error) as NodeJS.ErrnoException, tls)
  if (ofTls !== undefined) return ofTls
  return code ?? message
}
