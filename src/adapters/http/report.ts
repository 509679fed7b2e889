// Posts batches of instances to an HTTP backend, with the batch id as an idempotency key.

import type { AdapterEnvironment, Handler, ReportContext } from '../../adapter-kit/define-adapter.ts'
import { fetchText } from '../../adapter-kit/fetch-text.ts'
import type { Instance } from '../../adapter-kit/instance.ts'
import { fieldToJson } from '../../adapter-kit/value-text.ts'
import { IntermixError } from '../../kernel/errors.ts'
import type { HttpConfig } from './config.ts'

/**
 * The report half of the adapter. Any 2xx takes the batch; 408, 429, 5xx and network failures are tried again
 * (BACKEND_FAILED), every other status is final (BACKEND_REFUSED).
 */
export function createHttpReport(
  config: Pick<HttpConfig, 'url' | 'method' | 'headers' | 'maxBytes'>,
  env: Pick<AdapterEnvironment, 'fetch' | 'clock'>,
): NonNullable<Handler['report']> {
  const { url, method, maxBytes } = config
  const post = (template: string) => async (instances: readonly Instance[], call: ReportContext) => {
    const headers = { 'content-type': 'application/json', ...config.headers, 'idempotency-key': call.batchId }
    const rows = instances.map(({ name, fields }) => ({ name, fields: fieldToJson(fields) }))
    const body = JSON.stringify({ batchId: call.batchId, template, instances: rows })
    const { fetch, clock } = env
    const options = { fetch, clock, url, method, headers, body, maxBytes, signal: call.signal }
    const { status } = await fetchText(options)
    if (status >= 200 && status < 300) return
    const passing = status === 408 || status === 429 || status >= 500
    throw new IntermixError(
      passing ? 'BACKEND_FAILED' : 'BACKEND_REFUSED',
      `the backend answered a report batch with HTTP ${status}`,
    )
  }
  return {
    reportnothing: post('reportnothing'),
    metric: post('metric'),
    logentry: post('logentry'),
    edge: post('edge'),
    tracespan: post('tracespan'),
  }
}
