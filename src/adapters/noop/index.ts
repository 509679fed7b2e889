// Does nothing, agreeably: for measuring Intermix itself and for switching a handler off without touching its rules.

import { z } from 'zod'
import { defineAdapter, type Handler } from '../../adapter-kit/define-adapter.ts'
import { OK_STATUS } from '../../kernel/status.ts'
import { DEFAULT_VALID_FOR_MS, DEFAULT_VALID_USES } from '../../kernel/verdict.ts'

export default defineAdapter({
  name: 'noop',
  description: 'Allows every check, grants every quota, drops every report',
  templates: [
    'checknothing',
    'listentry',
    'apikey',
    'authorization',
    'quota',
    'reportnothing',
    'metric',
    'logentry',
    'edge',
    'tracespan',
    'kubernetes',
  ],
  config: z.strictObject({}),
  doesIo: false,
  create(): Handler {
    const allowed = { status: OK_STATUS, validForMs: DEFAULT_VALID_FOR_MS, validUses: DEFAULT_VALID_USES }
    const allow = () => allowed
    const drop = () => undefined
    return {
      check: { checknothing: allow, listentry: allow, apikey: allow, authorization: allow },
      report: { reportnothing: drop, metric: drop, logentry: drop, edge: drop, tracespan: drop },
      quota: {
        quota: (_instance, { amount }) => ({ status: OK_STATUS, granted: amount, validForMs: DEFAULT_VALID_FOR_MS }),
      },
      attributes: { kubernetes: () => ({}) },
    }
  },
})
