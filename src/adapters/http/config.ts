// Params of the HTTP adapter: where the backend is, and what its HTTP statuses mean.

import { z } from 'zod'
import type { ConfigIssue } from '../../adapter-kit/define-adapter.ts'
import { goDuration, httpUrl, statusCode } from '../../adapter-kit/schema.ts'

const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/

export const config = z.strictObject({
  url: httpUrl(),
  method: z.enum(['POST', 'PUT', 'PATCH']).default('POST'),
  /** Sent with every request, such as `authorization`. */
  headers: z.record(z.string().regex(HEADER_NAME, 'not a header name'), z.string()).default({}),
  /** What an HTTP status means; the others keep their default meaning. */
  statusMapping: z.record(z.string().regex(/^[1-5]\d\d$/, 'not an HTTP status'), statusCode()).default({}),
  /** For answers that say nothing of their validity themselves. */
  validDuration: goDuration().default(60_000),
  validUseCount: z.int().min(0).default(10_000),
  /** Whether the caller gets the status, body and chosen headers of a denial as the backend sent them. */
  passDenial: z.boolean().default(true),
  responseHeaders: z.array(z.string().toLowerCase()).default(['content-type', 'www-authenticate', 'retry-after']),
  maxBytes: z.int().min(1).default(65_536),
})

export type HttpConfig = z.output<typeof config>

export function validate(params: HttpConfig): readonly ConfigIssue[] {
  const { username, password } = new URL(params.url)
  if (username === '' && password === '') return []
  return [{ path: ['url'], message: 'must not hold user or password; put them in headers.authorization' }]
}
