// Errors of the HTTP API, all of one form: {"error": {"code", "message", "problems"}}.

import { IntermixError } from '../kernel/errors.ts'
import { type HttpAnswer, jsonAnswer } from '../kernel/http-answer.ts'
import type { Problem } from '../kernel/problem.ts'
import { httpStatusOf } from '../kernel/status.ts'

/** A refused request together with all that is wrong with it. */
export class RequestProblems extends IntermixError {
  readonly problems: readonly Problem[]

  constructor(message: string, problems: readonly Problem[]) {
    super('INVALID_REQUEST', message)
    this.problems = problems
  }
}

/** An error in the form of the API. */
export function errorBody(error: IntermixError): object {
  const problems =
    error instanceof RequestProblems ? error.problems.map(({ code, path, message }) => ({ code, path, message })) : []
  return { error: { code: error.code, message: error.message, problems } }
}

/** Answers with an error, and when to try again where it says so. `status` defaults to the one of the error's code. */
export function errorAnswer(error: IntermixError, status = httpStatusOf(error.status.code)): HttpAnswer {
  const answer = jsonAnswer(status, errorBody(error))
  if (error.retryAfterMs === undefined) return answer
  const seconds = Math.max(1, Math.ceil(error.retryAfterMs / 1_000))
  return { ...answer, headers: [...answer.headers, 'retry-after', seconds] }
}
