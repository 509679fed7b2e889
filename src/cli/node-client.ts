// Calls a node's HTTP API for the tools of the command line.

import { IntermixError } from '../kernel/errors.ts'
import { isJsonObject, type JsonObject } from '../kernel/json-object.ts'
import { parseJson } from '../kernel/parse-json.ts'
import type { CommandIo } from './io.ts'
import type { OptionTable } from '../settings/options.ts'

const TIMEOUT = {
  timeoutMs: {
    kind: 'duration',
    default: 5_000,
    min: 1,
    max: 60_000,
    env: false,
    description: 'How long to wait for an answer.',
  },
} as const satisfies OptionTable

/** The flags of every command that calls a node as its clients do. */
export const NODE_OPTIONS = {
  address: {
    kind: 'url',
    default: 'http://127.0.0.1:8080',
    description: "The node's HTTP API (its --http-address).",
  },
  ...TIMEOUT,
} as const satisfies OptionTable

/** The flags of every command that calls a node's admin port. */
export const ADMIN_OPTIONS = {
  admin: {
    kind: 'url',
    default: 'http://127.0.0.1:15014',
    description: "The node's admin port (its --admin-address).",
  },
  ...TIMEOUT,
} as const satisfies OptionTable

export interface NodeRequest {
  /** Base URL without a trailing slash. */
  readonly address: string
  readonly timeoutMs: number
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
 * @throws IntermixError BACKEND_FAILED when nothing or no JSON object comes back: a sentence for the person who asked.
 */
export async function callNode(io: CommandIo, request: NodeRequest): Promise<NodeAnswer> {
  const url = request.address + request.path
  let httpStatus: number
  let text: string
  try {
    const response = await io.fetch(url, {
      ...(request.body === undefined
        ? {}
        : {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify(request.body),
          }),
      signal: AbortSignal.timeout(request.timeoutMs),
    })
    httpStatus = response.status
    text = await response.text()
  } catch (error) {
    throw new IntermixError('BACKEND_FAILED', `no answer from ${url}: ${reasonOf(error, request.timeoutMs)}`, {
      cause: error,
    })
  }
  const body = parse(text)
  if (isJsonObject(body)) return { httpStatus, body }
  if (text === '' && httpStatus < 300) return { httpStatus, body: {} }
  throw new IntermixError('BACKEND_FAILED', `${url} answered ${httpStatus} without JSON: is this an Intermix node?`)
}

/** What the admin port refused; a 404 is most likely no admin port's, or that of an Intermix before it had these. */
export function adminRefusalText(answer: NodeAnswer, admin: string): string {
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

function reasonOf(error: unknown, timeoutMs: number): string {
  if (error instanceof Error && error.name === 'TimeoutError') return `nothing within ${timeoutMs} ms (--timeout)`
  const cause = (error as { cause?: unknown }).cause
  const { code, message } = (cause ?? error) as NodeJS.ErrnoException
  if (code === 'ECONNREFUSED') return 'nothing listens there (--address or --admin says where the node is)'
  if (code === 'ENOTFOUND') return 'there is no such host'
  return code ?? message
}
