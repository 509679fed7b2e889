// Posts batches of instances to an HTTP backend, with the batch id as an idempotency key.

import type { AdapterEnvironment, Handler, ReportContext, ReportResult } from '../../adapter-kit/define-adapter.ts'
import { fetchText, type TextResponse } from '../../adapter-kit/fetch-text.ts'
import type { Instance } from '../../adapter-kit/instance.ts'
import { retryAfterMs } from '../../adapter-kit/retry-after.ts'
import { fieldToJson } from '../../adapter-kit/value-text.ts'
import { IntermixError } from '../../kernel/errors.ts'
import type { HttpConfig } from './config.ts'
import { readFailed } from './partial.ts'

/** What no retry can help: the request is wrong, or not allowed, or nobody is there who could take it. */
const FINAL = new Set([400, 401, 403, 404, 405, 410, 414, 415, 422])
const TOO_LARGE = 413
const THROTTLED = new Set([429, 503])

/**
 * The report half of the adapter. A 2xx takes the batch, less what its body says was not taken; for the statuses above a
 * batch ends (BACKEND_REFUSED), 413 has it go on in halves (TOO_LARGE), everything else is tried again (BACKEND_FAILED),
 * with 429 and 503 no sooner than `Retry-After` says.
 */
export function createHttpReport(
  config: Pick<HttpConfig, 'url' | 'method' | 'headers' | 'maxBytes'>,
  env: Pick<AdapterEnvironment, 'fetch' | 'clock'>,
): NonNullable<Handler['report']> {
  const { url, method, maxBytes } = config
  const { fetch, clock } = env
  const post = (template: string) => async (instances: readonly Instance[], call: ReportContext) => {
    const headers = { 'content-type': 'application/json', ...config.headers, 'idempotency-key': call.batchId }
    const rows = instances.map(({ name, fields }) => ({ name, fields: fieldToJson(fields) }))
    const body = JSON.stringify({ batchId: call.batchId, template, instances: rows })
    const options = { fetch, clock, url, method, headers, body, maxBytes, cuts: true, signal: call.signal }
    return readReportAnswer(await fetchText(options), instances.length, clock.now())
  }
  return {
    reportnothing: post('reportnothing'),
    metric: post('metric'),
    logentry: post('logentry'),
    edge: post('edge'),
    tracespan: post('tracespan'),
  }
}

function readReportAnswer(response: TextResponse, size: number, now: number): ReportResult | undefined {
  const { status, headers } = response
  if (status >= 200 && status < 300) return readFailed(response, size)
  const message = `the backend answered a report batch with HTTP ${status}`
  if (status === TOO_LARGE) throw new IntermixError('TOO_LARGE', message)
  if (FINAL.has(status)) throw new IntermixError('BACKEND_REFUSED', message)
  const asked = THROTTLED.has(status) ? retryAfterMs(headers, now) : undefined
  throw new IntermixError('BACKEND_FAILED', message, { backend: 'answered', retryAfterMs: asked })
}
