// POST /v1/check: the API for programs. The verdict is in the body; the HTTP status only says whether there is one.

import type { CheckOutcome } from '../kernel/services.ts'
import { httpStatusOf } from '../kernel/status.ts'
import { checkAnswer } from './check-answer.ts'
import { readCheckBody } from './check-body.ts'
import { createDoorMetrics, type DoorMetrics } from './door-metrics.ts'
import { callerError } from './failure-log.ts'
import type { Route, RouteDependencies } from './http-route.ts'
import { parseJsonBody, refuseLongBody } from './json-body.ts'
import { errorBody } from './json-error.ts'
import type { ErrorListener } from './http-errors.ts'

export const CHECK_PATH = '/v1/check'

/** A response, but for what says how long it is. */
export interface CheckResponse {
  readonly status: number
  /** Names and values in turns. */
  readonly headers: readonly (string | number)[]
  readonly body: string
}

const JSON_TYPE = 'application/json; charset=utf-8'

/** Answers 200 whatever the verdict; 400 for a body that is not valid, 5xx where the node itself cannot answer. */
export class CheckDoor {
  readonly #given: RouteDependencies
  readonly #metrics: DoorMetrics
  readonly #onError: ErrorListener

  constructor(given: RouteDependencies, onError: ErrorListener) {
    this.#given = given
    this.#metrics = createDoorMetrics({ ...given, door: 'http_check' })
    this.#onError = onError
  }

  /** Answers the body of a request of `peer`. Never throws, never rejects. */
  answer(body: Buffer, peer: string | undefined): CheckResponse | Promise<CheckResponse> {
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

  async #later(pending: Promise<CheckOutcome>, startedAt: number, peer: string | undefined): Promise<CheckResponse> {
    try {
      return this.#respond(await pending, startedAt)
    } catch (caught) {
      return this.#fail(caught, startedAt, peer)
    }
  }

  #respond(outcome: CheckOutcome, startedAt: number): CheckResponse {
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

  #fail(caught: unknown, startedAt: number, peer: string | undefined): CheckResponse {
    const error = callerError(caught)
    this.#metrics.finished(error.status.code, startedAt)
    this.#onError(caught, peer, `POST ${CHECK_PATH}`)
    return {
      status: httpStatusOf(error.status.code),
      headers: ['content-type', JSON_TYPE],
      body: JSON.stringify(errorBody(error)),
    }
  }
}

/** The door behind the router, for requests that do not come by the short way (`direct-check.ts`). */
export function checkRoute(door: CheckDoor): Route {
  return (app) => {
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
    app.post(CHECK_PATH, async (request, reply) => {
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
      const { status, headers, body: text } = await door.answer(body, request.socket.remoteAddress)
      reply.code(status)
      for (let at = 0; at < headers.length; at += 2) reply.header(String(headers[at]), headers[at + 1])
      return reply.send(text)
    })
  }
}
