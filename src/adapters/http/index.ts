// Asks an HTTP backend whether a request may pass, and posts reports to it.

import { defineAdapter, type CallContext, type Handler } from '../../adapter-kit/define-adapter.ts'
import { fetchText } from '../../adapter-kit/fetch-text.ts'
import type { Instance } from '../../adapter-kit/instance.ts'
import { fieldToJson } from '../../adapter-kit/value-text.ts'
import { readAnswer } from './answer.ts'
import { config, validate } from './config.ts'
import { createHttpReport } from './report.ts'

export default defineAdapter({
  name: 'http',
  description: 'Asks an HTTP backend for verdicts and posts reports to it',
  templates: [
    'checknothing',
    'listentry',
    'apikey',
    'authorization',
    'reportnothing',
    'metric',
    'logentry',
    'edge',
    'tracespan',
  ],
  config,
  doesIo: true,
  validate,
  // Without the query, which may hold a key.
  target({ url }) {
    const { origin, pathname } = new URL(url)
    return `${origin}${pathname}`
  },
  create(params, env): Handler {
    const { url, method, maxBytes } = params
    const headers = { 'content-type': 'application/json', accept: 'application/json', ...params.headers }
    const { fetch, clock } = env
    const ask = async (instance: Instance, { signal }: CallContext) => {
      const { template, name, fields } = instance
      const body = JSON.stringify({ template, instance: name, fields: fieldToJson(fields) })
      const response = await fetchText({ fetch, clock, url, method, headers, body, maxBytes, signal })
      return readAnswer(response, params, clock.now())
    }
    return {
      check: { checknothing: ask, listentry: ask, apikey: ask, authorization: ask },
      report: createHttpReport(params, env),
    }
  },
})
