// Admission at the HTTP server: decides about a request when its head is read, before its body.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Admission, DoorAdmission, Priority, Refusal } from './admission.ts'
import { CHECK_PATH } from './check-route.ts'
import { AUTHZ_PATH } from './forwarded-request.ts'
import { QUOTA_PATH } from './quota-route.ts'

/** `onEnd` has to be called when the request has been answered, or is gone. */
type Accept = (request: IncomingMessage, response: ServerResponse, onEnd?: () => void) => void

/** Handles one request: refuses it, or hands it on to `accept`. */
export type RequestGate = (
  request: IncomingMessage,
  response: ServerResponse,
  accept: Accept,
  /** How many connections there are: each of HTTP/1 has one request waiting at most. */
  connections: number,
) => void

/** Paths that are shed in an overload, and all below them. Others (what operators ask) always come in. */
const DOORS: readonly { readonly path: string; readonly name: string; readonly priority: Priority }[] = [
  { path: AUTHZ_PATH, name: 'forward_auth', priority: 'check' },
  { path: CHECK_PATH, name: 'http_check', priority: 'check' },
  { path: QUOTA_PATH, name: 'http_quota', priority: 'check' },
  { path: '/v1/report', name: 'http_report', priority: 'report' },
]

/** Callers that come again at once would keep the overload going. */
const RETRY_AFTER_SECONDS = '1'

const MESSAGES: Readonly<Record<Refusal, string>> = {
  overload: 'overloaded: ask another node, or later',
  in_flight: 'too many requests in flight: ask another node, or later',
  deadline: 'overloaded: the request waited for too long before it could be read',
}

/** @param timeoutMs how long callers wait: over HTTP they do not say before their body. */
export function requestGate(admission: Admission, timeoutMs: number): RequestGate {
  const doors = DOORS.map(({ path, name, priority }) => ({ path, door: admission.door(name, priority) }))
  const bodies = Object.fromEntries(
    Object.entries(MESSAGES).map(([refusal, message]) => [
      refusal,
      JSON.stringify({ error: { code: 'OVERLOADED', message, problems: [] } }),
    ]),
  ) as Record<Refusal, string>
  const doorOf = (url: string): DoorAdmission | undefined => {
    for (const { path, door } of doors) if (url.startsWith(path)) return door
    return undefined
  }
  return (request, response, accept, connections) => {
    const door = doorOf(request.url ?? '')
    if (door === undefined) return accept(request, response)
    const refusal = door.admit(timeoutMs, connections)
    if (refusal === undefined) {
      return accept(request, response, door.end)
    }
    const body = bodies[refusal]
    response.writeHead(503, {
      'content-type': 'application/json; charset=utf-8',
      'content-length': body.length,
      'retry-after': RETRY_AFTER_SECONDS,
    })
    // As text it goes out in one write with the head.
    response.end(body, 'latin1')
  }
}
