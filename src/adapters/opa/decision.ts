// The result of a policy as a verdict: a boolean, an object with `allow`, or nothing at all (which denies).

import { z } from 'zod'
import type { CheckResult } from '../../adapter-kit/define-adapter.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { Code, OK_STATUS } from '../../kernel/status.ts'
import { parseJson } from '../../kernel/parse-json.ts'

const decision = z.union([
  z.boolean().transform((allow) => ({ allow, reason: undefined, validForMs: undefined, headers: undefined })),
  z.object({
    allow: z.boolean(),
    reason: z.string().optional(),
    validForMs: z.number().min(0).optional(),
    headers: z.record(z.string(), z.string()).optional(),
  }),
])

export interface DecisionDefaults {
  /** The rule that was asked, for messages. */
  readonly path: string
  readonly validForMs: number
  readonly validUses: number
}

/** Reads OPA's answer. Throws `BACKEND_FAILED` where it is no JSON, `BACKEND_REFUSED` where the result is no decision. */
export function readDecision(text: string, { path, validForMs, validUses }: DecisionDefaults): CheckResult {
  const result = resultOf(text, path)
  const validity = { validForMs: Math.floor(validForMs), validUses }
  if (result === undefined) {
    const message = `${path} is undefined for this input, which denies`
    return { status: { code: Code.PERMISSION_DENIED, message }, ...validity }
  }
  const parsed = decision.safeParse(result)
  if (!parsed.success) {
    throw new IntermixError('BACKEND_REFUSED', `${path} must be a boolean or an object with a boolean "allow"`)
  }
  const { allow, reason, headers } = parsed.data
  if (parsed.data.validForMs !== undefined) validity.validForMs = Math.floor(parsed.data.validForMs)
  if (allow) return { status: OK_STATUS, ...validity }
  const message = reason ?? `denied by ${path}`
  const denial: CheckResult = { status: { code: Code.PERMISSION_DENIED, message }, ...validity }
  return headers === undefined ? denial : { ...denial, directResponse: { code: 0, body: message, headers } }
}

function resultOf(text: string, path: string): unknown {
  let body: unknown
  try {
    body = parseJson(text)
  } catch (error) {
    throw new IntermixError('BACKEND_FAILED', `OPA sent no JSON for ${path}`, { cause: error, backend: 'answered' })
  }
  if (typeof body !== 'object' || body === null)
    throw new IntermixError('BACKEND_FAILED', `OPA sent no object for ${path}`, { backend: 'answered' })
  return 'result' in body ? body.result : undefined
}
