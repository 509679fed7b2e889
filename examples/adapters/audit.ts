// A sample adapter of a team's own worker (docs/plug-in-workers.md): posts records to an audit log, a line for each.

import { defineAdapter, fetchText, fieldToJson, httpUrl, IntermixError, retryAfterMs, z } from 'intermix/adapter-kit'

export default defineAdapter({
  name: 'audit',
  description: 'Posts records to an audit log',
  templates: ['logentry'],
  config: z.strictObject({ url: httpUrl() }),
  doesIo: true,
  create: ({ url }, env) => ({
    report: {
      async logentry(instances, { batchId, signal }) {
        const lines = instances.map(({ fields }) => `${JSON.stringify(fieldToJson(fields.variables ?? {}))}\n`)
        const headers = { 'content-type': 'application/x-ndjson', 'idempotency-key': batchId }
        const request = { url, method: 'POST', headers, body: lines.join(''), maxBytes: 65_536, signal }
        const { status, headers: answered } = await fetchText({ ...request, fetch: env.fetch, clock: env.clock })
        // What is thrown says whether the batch is tried again: docs/report-adapters.md.
        const why = `the audit log answered ${status}`
        if (status === 400) throw new IntermixError('BACKEND_REFUSED', why)
        if (status === 413) throw new IntermixError('TOO_LARGE', why)
        const asked = retryAfterMs(answered, env.clock.now())
        if (status >= 300) throw new IntermixError('BACKEND_FAILED', why, { retryAfterMs: asked })
      },
    },
  }),
})
