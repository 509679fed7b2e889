// Mixer's templates of what is asked before a request: checks and quotas.

import { defineTemplate } from '../template.ts'

export const checknothing = defineTemplate({ name: 'checknothing', variety: 'check', fields: {} })

export const listentry = defineTemplate({ name: 'listentry', variety: 'check', fields: { value: 'VALUE' } })

export const apikey = defineTemplate({
  name: 'apikey',
  variety: 'check',
  fields: { api: 'STRING', apiVersion: 'STRING', apiOperation: 'STRING', apiKey: 'STRING', timestamp: 'TIMESTAMP' },
})

export const authorization = defineTemplate({
  name: 'authorization',
  variety: 'check',
  fields: {
    subject: { message: { user: 'STRING', groups: 'STRING', properties: 'VALUE_MAP' } },
    action: {
      message: { namespace: 'STRING', service: 'STRING', method: 'STRING', path: 'STRING', properties: 'VALUE_MAP' },
    },
  },
})

/**
 * Beside Mixer's dimensions: how much a request charges where its caller names no amount (1 unless given), and what is the
 * same for each retry of it, where there is anything that callers cannot choose.
 */
export const quota = defineTemplate({
  name: 'quota',
  variety: 'quota',
  fields: { dimensions: 'VALUE_MAP', amount: 'INT64', deduplicationId: 'STRING' },
})
