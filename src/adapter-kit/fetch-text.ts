// One bounded HTTP exchange: with a timeout, a cap on the body, no redirects and errors that say what failed.

import { onExpiry } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'

export interface TextRequest {
  readonly fetch: typeof fetch
  readonly clock: Clock
  readonly url: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Milliseconds for the whole exchange, body included; for calls that `signal` does not end in time. */
  readonly timeoutMs?: number
  /** A longer body is an error, unless `cuts` is set. */
  readonly maxBytes: number
  /** Reads no more than `maxBytes` of a body: for calls that have had their effect by the time it comes. */
  readonly cuts?: boolean
  /** The caller's own signal. */
  readonly signal?: AbortSignal
}

export interface TextResponse {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** Set where the body went on. */
  readonly isCut?: true
}

/**
 * Makes a request and reads the whole body as UTF-8. Redirects are handed back, not followed.
 * Rejects with `DEADLINE_EXCEEDED` (`timeoutMs`), `CANCELLED` (the caller's signal) or `BACKEND_FAILED`.
 */
export async function fetchText(request: TextRequest): Promise<TextResponse> {
  // One controller for both ends, and not AbortSignal.any: what that makes stays with the caller's signal until a
  // collection, and thousands of them make collections long.
  const ending = new AbortController()
  let isLate = false
  const giveUp = () => ending.abort()
  const late = () => {
    isLate = true
    giveUp()
  }
  const { clock, timeoutMs } = request
  const cancelTimer = timeoutMs === undefined ? undefined : onExpiry(clock, timeoutMs, late)
  request.signal?.addEventListener('abort', giveUp, { once: true })
  if (request.signal?.aborted === true) giveUp()
  try {
    const response = await request.fetch(request.url, {
      method: request.method ?? 'GET',
      redirect: 'manual',
      signal: ending.signal,
      ...(request.headers === undefined ? {} : { headers: request.headers }),
      ...(request.body === undefined ? {} : { body: request.body }),
    })
    return { status: response.status, headers: response.headers, ...(await readText(response, request)) }
  } catch (error) {
    throw explain(error, request, isLate)
  } finally {
    cancelTimer?.()
    request.signal?.removeEventListener('abort', giveUp)
  }
}

async function readText(
  response: Response,
  { maxBytes, cuts = false }: TextRequest,
): Promise<Pick<TextResponse, 'text' | 'isCut'>> {
  if (response.body === null) return { text: '' }
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength
    // Leaving the loop cancels the stream, so the rest is not read.
    if (size > maxBytes) {
      if (cuts) return { text: textOf(chunks), isCut: true }
      throw new IntermixError('BACKEND_FAILED', `the answer is longer than ${maxBytes} bytes`, { backend: 'answered' })
    }
    chunks.push(chunk)
  }
  return { text: textOf(chunks) }
}

function textOf(chunks: readonly Uint8Array[]): string {
  return Buffer.concat(chunks).toString('utf8')
}

function explain(error: unknown, request: TextRequest, isLate: boolean): IntermixError {
  const where = placeOf(request.url)
  if (isLate) {
    return new IntermixError('DEADLINE_EXCEEDED', `${where} did not answer in ${request.timeoutMs} ms`, {
      cause: error,
    })
  }
  if (request.signal?.aborted === true) {
    return new IntermixError('CANCELLED', `the call to ${where} was given up`, { cause: error })
  }
  const backend = error instanceof IntermixError ? error.backend : undefined
  return new IntermixError('BACKEND_FAILED', `${where}: ${reasonOf(error)}`, { cause: error, backend })
}

// fetch hides the reason (connection refused, name not found) in the cause.
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause
  if (cause instanceof Error) return 'code' in cause && cause.message === '' ? String(cause.code) : cause.message
  return error.message
}

/** A URL without what may be secret in it: user, password and query. */
export function placeOf(url: string): string {
  if (!URL.canParse(url)) return 'the backend'
  const { origin, pathname } = new URL(url)
  return `${origin}${pathname}`
}
