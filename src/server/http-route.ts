// What a route of the HTTP server is given, and what it is.

import type { IncomingMessage } from 'node:http'
import type { HttpAnswer } from '../kernel/http-answer.ts'
import type { QuotaService } from '../kernel/services.ts'
import type { DoorDependencies } from './door-dependencies.ts'

/** A request of which all has come that its route wants. */
export interface HttpCall {
  readonly message: IncomingMessage
  /** The target as it was sent. */
  readonly url: string
  readonly peer: string | undefined
  /** Empty where the route wants none. */
  readonly body: Buffer
}

export interface HttpRoute {
  readonly path: string
  /** `any`: all methods, without their bodies. */
  readonly method: 'POST' | 'any'
  /** What it throws, or rejects with, is answered as an error of the API. */
  answer(call: HttpCall): HttpAnswer | Promise<HttpAnswer>
}

export interface HttpDoorDependencies extends DoorDependencies {
  /** Charges quotas without a check. */
  readonly quotas: QuotaService
}

/** The server has chosen the bounds. */
export type RouteDependencies = HttpDoorDependencies & Required<Pick<DoorDependencies, 'limits'>>
