// Denies everything: for trying out rules, and for taking something out of service on purpose.

import { z } from 'zod'
import { defineAdapter, type CheckResult, type Handler } from '../../adapter-kit/define-adapter.ts'
import { goDuration, statusCode } from '../../adapter-kit/schema.ts'
import { Code } from '../../kernel/status.ts'

const config = z.strictObject({
  status: z
    .strictObject({
      code: statusCode()
        .refine((code) => code !== Code.OK, 'code OK would allow; name a failure such as PERMISSION_DENIED')
        .default(Code.FAILED_PRECONDITION),
      message: z.string().default(''),
    })
    .default({ code: Code.FAILED_PRECONDITION, message: '' }),
  validDuration: goDuration().default(5_000),
  validUseCount: z.int().min(0).default(1_000),
})

export default defineAdapter({
  name: 'denier',
  description: 'Denies every check and grants no quota',
  templates: ['checknothing', 'listentry', 'quota'],
  config,
  doesIo: false,
  create({ status, validDuration, validUseCount }): Handler {
    const result: CheckResult = { status, validForMs: Math.floor(validDuration), validUses: validUseCount }
    const deny = () => result
    return {
      check: { checknothing: deny, listentry: deny },
      quota: { quota: () => ({ status, granted: 0, validForMs: Math.floor(validDuration) }) },
    }
  },
})
