// What a denied caller gets over HTTP, whichever front door denies.

import { isHeaderName } from './header-field.ts'
import { Code, httpStatusOf } from './status.ts'
import type { Answer } from './verdict.ts'

export interface Denial {
  readonly httpStatus: number
  readonly body: string
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>
}

/**
 * The direct response that a handler wants, else the canonical HTTP status of the code with the message as body. A 429
 * says when to try again: when the verdict ends. What no header can be named, handlers' word or not, is left out: proxies look at no name.
 */
export function denialOf(answer: Answer): Denial {
  const direct = answer.directResponse
  const headers = new Map<string, string>()
  for (const [name, value] of Object.entries(direct?.headers ?? {})) {
    const lower = name.toLowerCase()
    if (isHeaderName(lower)) headers.set(lower, value)
  }
  const httpStatus = isStatus(direct?.code) ? direct.code : httpStatusOf(answer.status.code || Code.UNKNOWN)
  if (httpStatus === 429 && !headers.has('retry-after')) {
    headers.set('retry-after', String(Math.max(1, Math.ceil(answer.validForMs / 1000))))
  }
  return { httpStatus, body: direct === undefined || direct.body === '' ? answer.status.message : direct.body, headers }
}

/** Proxies pass a denial with any final status on, so a denial by 2xx stays one; 1xx cannot be a reply. */
function isStatus(code: number | undefined): code is number {
  return code !== undefined && Number.isInteger(code) && code >= 200 && code <= 599
}
