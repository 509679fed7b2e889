// What an HTTP answer says: the verdict from its status and JSON body, the validity from its caching headers.

import { z } from 'zod'
import type { CheckResult } from '../../adapter-kit/define-adapter.ts'
import type { TextResponse } from '../../adapter-kit/fetch-text.ts'
import { retryAfterMs } from '../../adapter-kit/retry-after.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { Code, codeName, OK_STATUS, type Status } from '../../kernel/status.ts'
import type { DirectResponse } from '../../kernel/verdict.ts'
import { parseJson } from '../../kernel/parse-json.ts'
import type { HttpConfig } from './config.ts'

const DENIALS: Readonly<Record<number, number>> = {
  401: Code.UNAUTHENTICATED,
  403: Code.PERMISSION_DENIED,
  404: Code.NOT_FOUND,
  429: Code.RESOURCE_EXHAUSTED,
}

/** For a backend that is asked too much and does not say for how long. */
const UNTOLD_PAUSE_MS = 1000

const details = z.object({
  status: z.object({ code: z.int().min(0).max(16), message: z.string().default('') }).optional(),
  validForMs: z.number().min(0).optional(),
  validUses: z.number().min(0).optional(),
})

type Details = z.output<typeof details>

/** Reads a backend's answer, got at `now` (milliseconds since the epoch). Throws `BACKEND_FAILED` or `BACKEND_REFUSED` where it is no verdict. */
export function readAnswer(response: TextResponse, config: HttpConfig, now: number): CheckResult {
  const code = codeOf(response.status, config)
  const said = readDetails(response)
  const result: CheckResult = {
    status: statusOf(code, response, said),
    validForMs: Math.floor(validityOf(response, said, config, now)),
    validUses: Math.floor(said.validUses ?? config.validUseCount),
  }
  const isOwnDenial = code !== Code.OK && said.status === undefined && config.passDenial
  return isOwnDenial ? { ...result, directResponse: directResponse(response, config) } : result
}

function codeOf(status: number, config: HttpConfig): number {
  const code = config.statusMapping[String(status)] ?? DENIALS[status]
  if (code !== undefined) return code
  if (status >= 200 && status < 300) return Code.OK
  if (status >= 500) throw answered(`the backend answered HTTP status ${status}`)
  throw new IntermixError('BACKEND_REFUSED', `the backend answered HTTP status ${status}, which is mapped to no code`)
}

function answered(message: string, cause?: unknown): IntermixError {
  return new IntermixError('BACKEND_FAILED', message, { cause, backend: 'answered' })
}

// A body may make an HTTP success a denial, never the other way round: the stricter of the two counts.
function statusOf(code: number, response: TextResponse, said: Details): Status {
  if (said.status !== undefined && (code === Code.OK || said.status.code !== Code.OK)) return said.status
  return code === Code.OK ? OK_STATUS : { code, message: `${codeName(code)} (HTTP status ${response.status})` }
}

/** Whether a body says to be JSON. */
export function isJson(headers: Headers): boolean {
  return /^application\/(?:[\w.-]+\+)?json\b/i.test(headers.get('content-type') ?? '')
}

function readDetails(response: TextResponse): Details {
  if (!isJson(response.headers) || response.text === '') return {}
  let body: unknown
  try {
    body = parseJson(response.text)
  } catch (error) {
    throw answered('the backend announced JSON and sent something else', error)
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return {}
  const parsed = details.safeParse(body)
  if (parsed.success) return parsed.data
  // A denial's body is often JSON of its own making ({"status": 403, …}): the HTTP status says enough.
  if (response.status >= 400) return {}
  const [issue] = parsed.error.issues
  throw answered(`the backend's JSON: ${issue?.path.join('.')}: ${issue?.message}`)
}

/** Milliseconds of validity: what the backend says (headers and body, the shorter), or else the configured ones. */
function validityOf({ status, headers }: TextResponse, said: Details, config: HttpConfig, now: number): number {
  const fromHeaders = cacheControlMs(headers)
  if (fromHeaders === undefined) {
    // "Too many requests" passes by: it must not be remembered as long as a refusal in earnest.
    const usual =
      status === 429
        ? Math.min(retryAfterMs(headers, now) ?? UNTOLD_PAUSE_MS, config.validDuration)
        : config.validDuration
    return said.validForMs ?? usual
  }
  return Math.min(fromHeaders, said.validForMs ?? fromHeaders)
}

function cacheControlMs(headers: Headers): number | undefined {
  const directives = new Map<string, string>()
  for (const part of (headers.get('cache-control') ?? '').toLowerCase().split(',')) {
    const [name = '', value = ''] = part.trim().split('=')
    directives.set(name, value.replaceAll('"', ''))
  }
  if (directives.has('no-store') || directives.has('no-cache')) return 0
  const seconds = directives.get('s-maxage') ?? directives.get('max-age')
  if (seconds === undefined) return undefined
  // RFC 9111, 4.2.1: a lifetime that cannot be read is a stale answer, not a long one.
  if (!/^\d{1,9}$/.test(seconds)) return 0
  const age = headers.get('age') ?? '0'
  return Math.max(0, Number(seconds) - (/^\d{1,9}$/.test(age) ? Number(age) : 0)) * 1_000
}

function directResponse(response: TextResponse, config: HttpConfig): DirectResponse {
  const headers: Record<string, string> = {}
  for (const name of config.responseHeaders) {
    const value = response.headers.get(name)
    if (value !== null) headers[name] = value
  }
  // A mapped success (200 as a denial) is not a response that a denied caller may get.
  return response.status >= 400
    ? { code: response.status, body: response.text, headers }
    : { code: 0, body: '', headers }
}
