// An adapter's answer, believed only after it was looked at.

import type { CheckResult } from '../adapter-kit/define-adapter.ts'
import { checkResultProblem } from '../adapter-kit/results.ts'
import { IntermixError } from '../kernel/errors.ts'

/** The answer itself, or a `BACKEND_FAILED` that says what is wrong with it. */
export function validateCheckResult(value: unknown): CheckResult | IntermixError {
  const problem = checkResultProblem(value)
  if (problem === undefined) return value as CheckResult
  return new IntermixError('BACKEND_FAILED', `the adapter answered nonsense: ${problem}`)
}
