// POST /v1/check: the API for programs. The verdict is in the body; the HTTP status only says whether there is one.

import { type HttpAnswer, JSON_TYPE, jsonAnswer } from '../kernel/http-answer.ts'
import type { CheckOutcome } from '../kernel/services.ts'
import { httpStatusOf } from '../kernel/status.ts'
import { checkAnswer } from './check-answer.ts'
import { readCheckBody } from './check-body.ts'
import { createDoorMetrics, type DoorMetrics } from './door-metrics.ts'
import { callerError } from './failure-log.ts'
import type { HttpCall, HttpRoute, RouteDependencies } from './http-route.ts'
import { parseJsonBody, refuseLongBody } from './json-body.ts'
import { errorBody } from './json-error.ts'
import type { ErrorListener } from './http-errors.ts'

export const CHECK_PATH = '/v1/check'

/** Answers 200 whatever the verdict; 400 for a body that is not valid, 5xx where the node itself cannot answer. */
export class CheckDoor implements HttpRoute {
  readonly path = CHECK_PATH
  readonly method = 'POST'
  readonly #given: RouteDependencies
  readonly #metrics: DoorMetrics
  readonly #onError: ErrorListener

  constructor(given: RouteDependencies, onError: ErrorListener) {
    this.#given = given
    this.#metrics = createDoorMetrics({ ...given, door: 'http_check' })
    this.#onError = onError
  }

  /** Never throws, never rejects. */
  answer({ body, peer }: Pick<HttpCall, 'body' | 'peer'>): HttpAnswer | Promise<HttpAnswer> {
    const { check, clock, limits } = this.#given
    const startedAt = clock.monotonic()
    try {
      refuseLongBody(body, limits.maxAttributeBytes)
      const json = parseJsonBody(body, { uniqueNames: true })
      const asked = readCheckBody(json, check.vocabulary(), this.#given)
      const outcome = check.check(asked.bag, { ...asked.options, startedAt })
      return outcome instanceof Promise ? this.#later(outcome, startedAt, peer) : this.#respond(outcome, startedAt)
    } catch (caught) {
      return this.#fail(caught, startedAt, peer)
    }
  }

  async #later(pending: Promise<CheckOutcome>, startedAt: number, peer: string | undefined): Promise<HttpAnswer> {
    try {
      return this.#respond(await pending, startedAt)
    } catch (caught) {
      return this.#fail(caught, startedAt, peer)
    }
  }

  #respond(outcome: CheckOutcome, startedAt: number): HttpAnswer {
    const { status, validForMs, tier, ageMs } = outcome.answer
    this.#metrics.finished(status.code, startedAt, outcome.answeredAt)
    const headers = [
      'content-type',
      JSON_TYPE,
      'x-intermix-status',
      status.code,
      'x-intermix-tier',
      tier,
      'x-intermix-age-ms',
      ageMs,
      'x-intermix-valid-for-ms',
      validForMs,
    ]
    return { status: 200, headers, body: checkAnswer(outcome) }
  }

  #fail(caught: unknown, startedAt: number, peer: string | undefined): HttpAnswer {
    const error = callerError(caught)
    this.#metrics.finished(error.status.code, startedAt)
    this.#onError(caught, peer, `POST ${CHECK_PATH}`)
    return jsonAnswer(httpStatusOf(error.status.code), errorBody(error))
  }
}
